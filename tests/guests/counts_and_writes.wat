;; Computes and writes a byte, again and again, each time computing a little longer.
(module
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "handle") (local $round i32) (local $left i32)
    (loop $again
      (local.set $round (i32.add (local.get $round) (i32.const 7)))
      (local.set $left (local.get $round))
      (loop $compute
        (br_if $compute (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
      (i32.store8 (i32.const 0) (local.get $round))
      (drop (call $write (i32.const 0) (i32.const 0) (i32.const 1)))
      (br $again))))
