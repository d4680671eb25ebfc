;; A WASI command that waits for input and then writes its environment, each string ended by a NUL.
(module
  (import "wasi_snapshot_preview1" "environ_sizes_get"
    (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read"
    (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  ;; A piece of memory of one byte for the input; one for the output, whose length is not known yet.
  (data (i32.const 0) "\40\00\00\00\01\00\00\00")
  (data (i32.const 16) "\00\20\00\00")

  ;; The strings are at 8192, where each begins is at 4096.
  (func (export "_start")
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 32)))
    (drop (call $sizes (i32.const 32) (i32.const 20)))
    (drop (call $get (i32.const 4096) (i32.const 8192)))
    (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 32)))))
