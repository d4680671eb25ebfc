;; Lets others go first, again and again, and has nothing to do itself.
(module
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1)
  (func (export "handle") (loop $again (drop (call $yield)) (br $again))))
