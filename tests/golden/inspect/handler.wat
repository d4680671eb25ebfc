;; Imports of every group, and nothing that hurts.
(module
  (@producers
    (language "Rust" "")
    (processed-by "rustc" "1.96.0 (ac68faa20 2026-05-25)")
    (processed-by "clang" "22.1.2"))
  (@custom "target_features" "\02+\0bbulk-memory+\08sign-ext")
  (import "wasi_snapshot_preview1" "path_open"
    (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_shutdown" (func (param i32 i32) (result i32)))
  (import "portcell_v1" "start_tls" (func (param i32 i32 i32 i32 i32) (result i32)))
  (import "portcell_v1" "read" (func (param i32 i32 i32) (result i32)))
  (memory (export "memory") 2 16)
  (global $__stack_pointer (mut i32) (i32.const 65536))
  (func $begin)
  (func (export "_initialize"))
  (func (export "handle") (result i32) (i32.const 0))
  (start $begin)
  (data (i32.const 65536) "some data"))
