;; Calls itself until the stack is used up, and at each depth the host: what waits, what logs, and
;; what the WASI library answers.
(module
  (import "portcell_v1" "poll" (func $poll (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "log" (func $log (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_get" (func $stat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\00\00\00\00\02\00\00\00 nothing")
  (func $deeper (param $depth i32) (result i32)
    (drop (call $poll (i32.const 0) (i32.const 1) (i32.const 0)))
    (drop (call $log (i32.const 1) (i32.const 8) (i32.const 8)))
    (drop (call $stat (i32.const 1) (i32.const 256)))
    (drop (call $path_open (i32.const 3) (i32.const 0) (i32.const 8) (i32.const 8) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
    (i32.add (call $deeper (i32.add (local.get $depth) (i32.const 1))) (i32.const 1)))
  (func (export "handle") (result i32) (call $deeper (i32.const 0))))
