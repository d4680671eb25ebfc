;; Answers each byte with two digits: how many it has had, by its memory and by a global.
(module
  (import "portcell_v1" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "0")
  (global $count (mut i32) (i32.const 0))

  (func (export "handle") (result i32)
    (loop $next
      (if (i32.le_s (call $read (i32.const 0) (i32.const 0) (i32.const 1)) (i32.const 0))
        (then (return (i32.const 0))))
      (i32.store8 (i32.const 8) (i32.add (i32.load8_u (i32.const 8)) (i32.const 1)))
      (global.set $count (i32.add (global.get $count) (i32.const 1)))
      (i32.store8 (i32.const 9) (i32.add (global.get $count) (i32.const 48)))
      (drop (call $write (i32.const 0) (i32.const 8) (i32.const 2)))
      (br $next))
    unreachable))
