;; Answers each datagram, the name of a fact, with the fact, or with `-` if there is none.
(module
  (import "portcell_v1" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "info" (func $info (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)

  ;; The name is at 0, the fact at 65536.
  (func (export "handle")
    (local $length i32)
    (local $fact i32)
    (loop $next
      (local.set $length (call $read (i32.const 0) (i32.const 0) (i32.const 65536)))
      (if (i32.ge_s (local.get $length) (i32.const 0))
        (then
          (local.set $fact
            (call $info (i32.const 0) (local.get $length) (i32.const 65536) (i32.const 1024)))
          (if (i32.lt_s (local.get $fact) (i32.const 0))
            (then
              (i32.store8 (i32.const 65536) (i32.const 45))
              (local.set $fact (i32.const 1))))
          (drop (call $write (i32.const 0) (i32.const 65536) (local.get $fact)))
          (br $next))))))
