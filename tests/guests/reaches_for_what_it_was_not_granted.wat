;; Asks WASI for folders, sockets, variables, the descriptors of the host and more randomness than
;; there is in one call. Fails with the number of the first that it gets.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_get"
    (func $path_stat (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory"
    (func $mkdir (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_symlink"
    (func $symlink (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir"
    (func $readdir (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_renumber" (func $renumber (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept"
    (func $accept (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_recv"
    (func $recv (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_send"
    (func $send (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_shutdown"
    (func $shutdown (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get"
    (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get"
    (func $clock (param i32 i64 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "/etc/passwd")

  (func $open (param $fd i32) (result i32)
    (call $path_open (local.get $fd) (i32.const 1) (i32.const 0) (i32.const 11) (i32.const 0)
      (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 64)))

  (func (export "handle") (result i32) (local $fd i32)
    (loop $next
      (if (i32.eqz (call $open (local.get $fd))) (then (return (i32.const 1))))
      (if (i32.eqz
            (call $path_stat
              (local.get $fd) (i32.const 0) (i32.const 0) (i32.const 11) (i32.const 64)))
        (then (return (i32.const 2))))
      (if (i32.eqz (call $mkdir (local.get $fd) (i32.const 0) (i32.const 4)))
        (then (return (i32.const 3))))
      (if (i32.eqz
            (call $symlink
              (i32.const 0) (i32.const 11) (local.get $fd) (i32.const 1) (i32.const 3)))
        (then (return (i32.const 4))))
      (if (i32.eqz (call $prestat (local.get $fd) (i32.const 64))) (then (return (i32.const 5))))
      (if (i32.eqz
            (call $readdir
              (local.get $fd) (i32.const 64) (i32.const 64) (i64.const 0) (i32.const 32)))
        (then (return (i32.const 6))))
      (if (i32.eqz (call $accept (local.get $fd) (i32.const 0) (i32.const 64)))
        (then (return (i32.const 7))))
      (if (i32.eqz
            (call $recv (local.get $fd) (i32.const 64) (i32.const 1) (i32.const 0) (i32.const 32)
              (i32.const 36)))
        (then (return (i32.const 8))))
      (if (i32.eqz
            (call $send (local.get $fd) (i32.const 64) (i32.const 1) (i32.const 0) (i32.const 32)))
        (then (return (i32.const 9))))
      (if (i32.eqz (call $shutdown (local.get $fd) (i32.const 3))) (then (return (i32.const 10))))
      (br_if $next
        (i32.lt_u (local.tee $fd (i32.add (local.get $fd) (i32.const 1))) (i32.const 64))))
    (if (i32.eqz (call $renumber (i32.const 0) (i32.const 1))) (then (return (i32.const 11))))
    (if (i32.eqz (call $renumber (i32.const 3) (i32.const 0))) (then (return (i32.const 12))))
    (drop (call $environ (i32.const 64) (i32.const 68)))
    (if (i32.load (i32.const 64)) (then (return (i32.const 13))))
    (if (i32.eqz (call $random (i32.const 0) (i32.const 65537))) (then (return (i32.const 14))))
    ;; The CPU time of the process and of the thread.
    (if (i32.eqz (call $clock (i32.const 2) (i64.const 0) (i32.const 64)))
      (then (return (i32.const 15))))
    (if (i32.eqz (call $clock (i32.const 3) (i64.const 0) (i32.const 64)))
      (then (return (i32.const 16))))
    (i32.const 0)))
