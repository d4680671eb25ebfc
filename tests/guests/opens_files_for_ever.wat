;; Opens the same file until it is refused, or a thousand times; writes how often it could.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "page")
  (func (export "handle") (local $opened i32)
    (block $refused
      (loop $again
        (br_if $refused (call $path_open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4)
          (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (local.set $opened (i32.add (local.get $opened) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $opened) (i32.const 1000)))))
    (i32.store (i32.const 40) (local.get $opened))
    (drop (call $write (i32.const 0) (i32.const 40) (i32.const 4)))))
