;; Never lets go of the processor.
(module
  (memory (export "memory") 1)
  (func (export "handle") (loop $again (br $again))))
