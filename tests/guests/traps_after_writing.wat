;; Writes an answer, then divides by zero.
(module
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "answer")
  (func $divide (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0)))
  (func (export "handle")
    (drop (call $write (i32.const 0) (i32.const 0) (i32.const 6)))
    (drop (call $divide (i32.const 0)))))
