;; Answers each line, the name of a fact, with the fact, or with `-` if there is none.
(module
  (import "portcell_v1" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "info" (func $info (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)

  ;; The name is at 0, the fact at 4096.
  (func (export "handle") (result i32)
    (local $length i32)
    (local $fact i32)
    (loop $next
      (if (i32.le_s
            (call $read (i32.const 0) (local.get $length) (i32.const 1)) (i32.const 0))
        (then (return (i32.const 0))))
      (if (i32.ne (i32.load8_u (local.get $length)) (i32.const 10))
        (then
          (local.set $length (i32.add (local.get $length) (i32.const 1)))
          (br $next)))
      (local.set $fact
        (call $info (i32.const 0) (local.get $length) (i32.const 4096) (i32.const 1024)))
      (if (i32.lt_s (local.get $fact) (i32.const 0))
        (then
          (i32.store8 (i32.const 4096) (i32.const 45))
          (local.set $fact (i32.const 1))))
      (i32.store8 (i32.add (i32.const 4096) (local.get $fact)) (i32.const 10))
      (drop (call $write
        (i32.const 0) (i32.const 4096) (i32.add (local.get $fact) (i32.const 1))))
      (local.set $length (i32.const 0))
      (br $next))
    unreachable))
