;; Asks the host to write bytes that are not its own: a range that wraps around the address space.
(module
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $reach_out (drop (call $write (i32.const 0) (i32.const -1) (i32.const 16))))
  (func (export "handle") (call $reach_out)))
