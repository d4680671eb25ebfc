;; Grows its memory to the limit, writes to every byte of it, says so and waits for the end.
(module
  (import "portcell_v1" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "handle")
    (loop $again
      (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
    (memory.fill (i32.const 0) (i32.const 0x5a)
      (i32.mul (memory.size) (i32.const 65536)))
    (drop (call $write (i32.const 0) (i32.const 0) (i32.const 1)))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1)))))
