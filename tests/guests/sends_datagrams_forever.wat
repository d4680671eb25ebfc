;; Sends datagrams of 1000 bytes for as long as it can.
(module
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "handle")
    (loop $again
      (br_if $again
        (i32.gt_s (call $write (i32.const 0) (i32.const 0) (i32.const 1000)) (i32.const 0))))))
