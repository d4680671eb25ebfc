;; Sleeps for a nanosecond at a time.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  ;; A subscription: the monotonic clock, 1 ns.
  (data (i32.const 16) "\01")
  (data (i32.const 24) "\01")
  (func (export "handle")
    (loop $again
      (drop (call $poll_oneoff (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 512)))
      (br $again))))
