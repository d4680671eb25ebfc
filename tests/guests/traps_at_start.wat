;; Traps in its start function, before there is an instance.
(module
  (memory (export "memory") 1)
  (func $early unreachable)
  (start $early)
  (func (export "handle")))
