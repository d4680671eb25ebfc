;; Opens the same file a thousand times and closes it never. Fails if that is refused.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "page")
  (func (export "handle") (result i32) (local $left i32)
    (local.set $left (i32.const 1000))
    (loop $again
      (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4)
            (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16))
        (then (return (i32.const 1))))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.const 0)))
