;; Ten times: computes for 50 ms by the clock, then writes a byte.
(module
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get"
    (func $clock (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (func $now (result i64)
    (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 8)))
    (i64.load (i32.const 8)))
  (func (export "handle") (local $left i32) (local $until i64)
    (local.set $left (i32.const 10))
    (loop $again
      (local.set $until (i64.add (call $now) (i64.const 50000000)))
      (loop $spin (br_if $spin (i64.lt_u (call $now) (local.get $until))))
      (drop (call $write (i32.const 0) (i32.const 0) (i32.const 1)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))
