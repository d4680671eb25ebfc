;; Closes the connection a thousand times. Fails if not exactly one of them is a success.
(module
  (import "portcell_v1" "close" (func $close (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "handle") (result i32) (local $left i32) (local $closed i32)
    (local.set $left (i32.const 1000))
    (loop $again
      (local.set $closed
        (i32.add (local.get $closed) (i32.eqz (call $close (i32.const 0)))))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.ne (local.get $closed) (i32.const 1))))
