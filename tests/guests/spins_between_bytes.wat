;; Ten times: computes for a while, as long as it has to on this processor, then writes a byte.
(module
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "handle") (local $left i32) (local $steps i32)
    (local.set $left (i32.const 10))
    (loop $again
      (local.set $steps (i32.const 20000000))
      (loop $spin (br_if $spin (local.tee $steps (i32.sub (local.get $steps) (i32.const 1)))))
      (drop (call $write (i32.const 0) (i32.const 0) (i32.const 1)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))
