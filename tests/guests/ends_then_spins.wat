;; Writes three bytes, ends the stream, and never lets go of the processor again.
(module
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "shutdown" (func $shutdown (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "bye")
  (func (export "handle")
    (drop (call $write (i32.const 0) (i32.const 0) (i32.const 3)))
    (drop (call $shutdown (i32.const 0) (i32.const 1)))
    (loop $again (br $again))))
