;; Polls 64 records again and again, without waiting.
(module
  (import "portcell_v1" "poll" (func $poll (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "handle") (local $at i32)
    (loop $fill
      (i32.store16 offset=4 (local.get $at) (i32.const 1))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $fill (i32.lt_u (local.get $at) (i32.const 512))))
    (loop $again
      (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 0)))
      (br $again))))
