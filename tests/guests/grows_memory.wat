;; Grows its memory page by page until it is denied, then fails as a program without memory does.
(module
  (memory (export "memory") 1)
  (func (export "handle")
    (loop $again
      (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (unreachable)))
