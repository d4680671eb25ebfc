;; Takes a line and looks at what comes behind it, through descriptor 3. Then it asks for TLS with the
;; reply `go`, and echoes what comes then.
(module
  (import "portcell_v1" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "start_tls" (func $start_tls (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_set_flags"
    (func $set_flags (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_recv"
    (func $sock_recv (param i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "go\n")
  ;; One vector: 16..+4096.
  (data (i32.const 8) "\10\00\00\00\00\10\00\00")
  (func (export "_start")
    (local $n i32)
    (loop $line
      (if (i32.le_s (call $read (i32.const 0) (i32.const 16) (i32.const 1)) (i32.const 0))
        (then (return)))
      (br_if $line (i32.ne (i32.load8_u (i32.const 16)) (i32.const 10))))
    (if (call $set_flags (i32.const 3) (i32.const 0)) (then (unreachable)))
    (if
      (call $sock_recv
        (i32.const 3) (i32.const 8) (i32.const 1) (i32.const 1) (i32.const 8192) (i32.const 8196))
      (then (unreachable)))
    (if (call $start_tls (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 3))
      (then (unreachable)))
    (loop $echo
      (local.set $n (call $read (i32.const 0) (i32.const 16) (i32.const 4096)))
      (if (i32.le_s (local.get $n) (i32.const 0)) (then (return)))
      (drop (call $write (i32.const 0) (i32.const 16) (local.get $n)))
      (br $echo))))
