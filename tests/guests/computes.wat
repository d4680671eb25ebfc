;; Computes a while, as long as it has to on this processor, and ends well.
(module
  (memory (export "memory") 1)
  (func (export "handle") (local $left i32)
    (local.set $left (i32.const 100000000))
    (loop $again
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))
