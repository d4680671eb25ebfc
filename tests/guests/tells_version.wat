;; Answers each byte with a line: a tag, which is in its code, and the fact `handler.version`. Tests
;; that need several versions put another tag in place of `module`.
(module
  (import "portcell_v1" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "info" (func $info (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "handler.version")
  (data (i32.const 64) "module ")
  (func (export "handle") (local $end i32)
    (loop $next
      (if (i32.gt_s (call $read (i32.const 0) (i32.const 32) (i32.const 1)) (i32.const 0)) (then
        (local.set $end (i32.add (i32.const 71)
          (call $info (i32.const 0) (i32.const 15) (i32.const 71) (i32.const 20))))
        (i32.store8 (local.get $end) (i32.const 10))
        (drop (call $write (i32.const 0) (i32.const 64)
          (i32.sub (i32.add (local.get $end) (i32.const 1)) (i32.const 64))))
        (br $next))))))
