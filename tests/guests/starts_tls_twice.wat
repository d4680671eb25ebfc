;; Asks for TLS at once, with the reply `go`; then asks again, and sends what that gave as the one
;; byte that it is below 0.
(module
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "start_tls" (func $start_tls (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "go\n")
  (func $start (result i32)
    (call $start_tls (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 3)))
  (func (export "handle") (result i32) (local $first i32)
    (if (local.tee $first (call $start)) (then (return (local.get $first))))
    (i32.store8 (i32.const 16) (i32.sub (i32.const 0) (call $start)))
    (drop (call $write (i32.const 0) (i32.const 16) (i32.const 1)))
    (i32.const 0)))
