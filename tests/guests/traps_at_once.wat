;; Traps in `handle`, before it has done anything.
(module
  (memory (export "memory") 1)
  (func $main (export "handle") unreachable))
