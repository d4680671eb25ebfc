;; Writes a gigabyte of empty lines to stderr with each call: 1024 vectors, all of them the same
;; megabyte of newlines.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 17)
  (func (export "handle") (local $at i32)
    (memory.fill (i32.const 65536) (i32.const 10) (i32.const 1048576))
    (loop $fill
      (i32.store (local.get $at) (i32.const 65536))
      (i32.store offset=4 (local.get $at) (i32.const 1048576))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $fill (i32.lt_u (local.get $at) (i32.const 8192))))
    (loop $again
      (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1024) (i32.const 8200)))
      (br $again))))
