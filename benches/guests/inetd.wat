;; The same echo as a plain WASI program: stdin and stdout are the connection.
;; At 0 the iovec to read into, at 8 the one to write from, at 16 the count; the buffer is at 64.
(module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (local $n i32)
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.const 16384))
    (i32.store (i32.const 8) (i32.const 64))
    (loop $more
      (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16))
        (then (call $proc_exit (i32.const 1))))
      (local.set $n (i32.load (i32.const 16)))
      (if (i32.eqz (local.get $n)) (then (return)))
      (i32.store (i32.const 12) (local.get $n))
      (if (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16))
        (then (call $proc_exit (i32.const 1))))
      (br_if $more (i32.eq (i32.load (i32.const 16)) (local.get $n))))
    (call $proc_exit (i32.const 1))))
