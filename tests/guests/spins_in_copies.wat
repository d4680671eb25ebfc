;; Copies 8 MiB again and again: each copy is one instruction.
(module
  (memory (export "memory") 256)
  (func (export "handle")
    (loop $again
      (memory.copy (i32.const 0) (i32.const 8388608) (i32.const 8388608))
      (br $again))))
