;; Writes 100,000 lines into the host's log.
(module
  (import "portcell_v1" "log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "spam")
  (func (export "handle") (local $left i32)
    (local.set $left (i32.const 100000))
    (loop $again
      (drop (call $log (i32.const 1) (i32.const 0) (i32.const 4)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))
