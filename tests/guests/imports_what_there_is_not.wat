;; Wants the host to run programs.
(module
  (import "portcell_v1" "system" (func (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "handle")))
