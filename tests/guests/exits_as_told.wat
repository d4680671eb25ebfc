;; Reads four bytes and exits with them as its code.
(module
  (import "portcell_v1" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $at i32)
    (loop $more
      (local.set $at
        (i32.add (local.get $at)
          (call $read (i32.const 0) (local.get $at) (i32.sub (i32.const 4) (local.get $at)))))
      (br_if $more (i32.lt_u (local.get $at) (i32.const 4))))
    (call $exit (i32.load (i32.const 0)))))
