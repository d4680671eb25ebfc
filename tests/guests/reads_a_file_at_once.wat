;; Reads the file `large` of the folder it was granted into a buffer of 4 MiB; writes the total.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (memory (export "memory") 66)
  (data (i32.const 0) "large")
  (func (export "handle") (result i32) (local $total i32)
    (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 0)
          (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16))
      (then (return (i32.const 1))))
    (i32.store (i32.const 24) (i32.const 65536))
    (i32.store (i32.const 28) (i32.const 4194304))
    (block $end
      (loop $again
        (if (call $fd_read (i32.load (i32.const 16)) (i32.const 24) (i32.const 1) (i32.const 32))
          (then (return (i32.const 2))))
        (br_if $end (i32.eqz (i32.load (i32.const 32))))
        (local.set $total (i32.add (local.get $total) (i32.load (i32.const 32))))
        (br $again)))
    (i32.store (i32.const 40) (local.get $total))
    (drop (call $write (i32.const 0) (i32.const 40) (i32.const 4)))
    (i32.const 0)))
