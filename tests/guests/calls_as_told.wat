;; Calls what the peer says, with the arguments that the peer says, and looks at no result. All that
;; the host offers can be called.
;;
;; The peer sends the length of a program, as two bytes with the lower one first, then the program:
;; for each call a byte that says which, by the numbers below, and its arguments. An argument is a
;; byte: below 64 the number in the table of edges, below 192 as much as it is over 64. Else it is
;; the next four bytes, and for 64 bits after a 255 the next eight.
;;
;; The first page has things to point at, the program is in the last.
(module
  (import "portcell_v1" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "shutdown" (func $shutdown (param i32 i32) (result i32)))
  (import "portcell_v1" "close" (func $close (param i32) (result i32)))
  (import "portcell_v1" "poll" (func $poll (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "set_timeout" (func $set_timeout (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "info" (func $info (param i32 i32 i32 i32) (result i32)))
  (import "portcell_v1" "log" (func $log (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "start_tls" (func $start_tls (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get"
    (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_res_get"
    (func $clock_res_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get"
    (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get"
    (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_advise"
    (func $fd_advise (param i32 i64 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_allocate"
    (func $fd_allocate (param i32 i64 i64) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_datasync" (func $fd_datasync (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_get"
    (func $fd_fdstat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_set_flags"
    (func $fd_fdstat_set_flags (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_set_rights"
    (func $fd_fdstat_set_rights (param i32 i64 i64) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_get"
    (func $fd_filestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_size"
    (func $fd_filestat_set_size (param i32 i64) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_times"
    (func $fd_filestat_set_times (param i32 i64 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pread"
    (func $fd_pread (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_dir_name"
    (func $fd_prestat_dir_name (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get"
    (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pwrite"
    (func $fd_pwrite (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir"
    (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_renumber" (func $fd_renumber (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func $fd_seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_sync" (func $fd_sync (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_tell" (func $fd_tell (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory"
    (func $path_create_directory (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_get"
    (func $path_filestat_get (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_set_times"
    (func $path_filestat_set_times (param i32 i32 i32 i32 i64 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_link"
    (func $path_link (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_readlink"
    (func $path_readlink (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_remove_directory"
    (func $path_remove_directory (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename"
    (func $path_rename (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_symlink"
    (func $path_symlink (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file"
    (func $path_unlink_file (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (import "wasi_snapshot_preview1" "proc_raise" (func $proc_raise (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $sched_yield (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept"
    (func $sock_accept (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_recv"
    (func $sock_recv (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_send"
    (func $sock_send (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_shutdown"
    (func $sock_shutdown (param i32 i32) (result i32)))
  (import "env" "abort" (func $abort (param i32 i32 i32 i32)))
  (memory (export "memory") 3)
  ;; A record of `poll`: the connection, readable.
  (data (i32.const 16) "\00\00\00\00\01\00\00\00")
  ;; Two vectors: 1024..+64 and 2048..+16.
  (data (i32.const 32) "\00\04\00\00\40\00\00\00\00\08\00\00\10\00\00\00")
  ;; A vector that ends outside: 196600..+16.
  (data (i32.const 48) "\f8\ff\02\00\10\00\00\00")
  ;; At 72, a subscription of `poll_oneoff`: the monotonic clock, 1 ms.
  (data (i32.const 88) "\01\00\00\00\00\00\00\00\40\42\0f")
  (data (i32.const 128) "peer.address")
  (data (i32.const 160) "../secret")
  (data (i32.const 192) "/secret")
  (data (i32.const 224) "file")
  (data (i32.const 256) "folder/file")
  ;; The edges.
  (data (i32.const 131072)
    "\00\00\00\00\01\00\00\00\02\00\00\00\03\00\00\00\04\00\00\00\05\00\00\00\07\00\00\00\08\00\00\00"
    "\ff\ff\ff\ff\fe\ff\ff\ff\f8\ff\ff\ff\f0\ff\ff\ff\00\00\ff\ff\00\00\00\80\01\00\00\80\ff\ff\ff\7f"
    "\10\00\00\00\20\00\00\00\30\00\00\00\38\00\00\00\48\00\00\00\80\00\00\00\a0\00\00\00\c0\00\00\00"
    "\e0\00\00\00\00\01\00\00\00\02\00\00\00\04\00\00\00\08\00\00\00\10\00\00\00\80\00\00\ff\ff\00\00"
    "\00\00\01\00\01\00\01\00\00\00\02\00\ff\ff\02\00\00\00\03\00\01\00\03\00\fe\ff\02\00\fc\ff\02\00"
    "\f8\ff\02\00\f0\ff\02\00\e8\ff\02\00\d0\ff\02\00\c0\ff\02\00\00\fe\02\00\00\f0\02\00\00\00\02\00"
    "\09\00\00\00\0b\00\00\00\0c\00\00\00\30\00\00\00\40\00\00\00\41\00\00\00\64\00\00\00\ff\03\00\00"
    "\01\04\00\00\10\27\00\00\00\00\10\00\00\00\00\01\00\00\00\40\00\00\01\00\00\40\00\00\88\13\00\00")
  (global $at (mut i32) (i32.const 132096))
  (global $end (mut i32) (i32.const 132096))

  (func (export "handle") (local $op i32) (local $read i32)
    ;; The length, then as much as there is of the program.
    (drop (call $read (i32.const 0) (i32.const 132096) (i32.const 2)))
    (global.set $end
      (i32.add (i32.const 132096)
        (i32.and (i32.load16_u (i32.const 132096)) (i32.const 0x7fff))))
    (local.set $op (global.get $at))
    (block $whole
      (loop $more
        (br_if $whole (i32.ge_u (local.get $op) (global.get $end)))
        (local.set $read
          (call $read (i32.const 0) (local.get $op)
            (i32.sub (global.get $end) (local.get $op))))
        (local.set $op (i32.add (local.get $op) (local.get $read)))
        (br_if $more (i32.gt_s (local.get $read) (i32.const 0)))))
    (call $run))

  (func $run (local $op i32)
    (loop $next
      (if (i32.ge_u (global.get $at) (global.get $end)) (then (return)))
      (local.set $op (i32.rem_u (call $byte) (i32.const 59)))
      (if (i32.eq (local.get $op) (i32.const 0))
        (then (drop (call $read (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 1))
        (then (drop (call $write (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 2))
        (then (drop (call $shutdown (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 3)) (then (drop (call $close (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 4))
        (then (drop (call $poll (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 5))
        (then (drop (call $set_timeout (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 6))
        (then (drop (call $info (call $arg) (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 7))
        (then (drop (call $log (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 8))
        (then (drop (call $start_tls (call $arg) (call $arg) (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 9))
        (then (drop (call $args_get (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 10))
        (then (drop (call $args_sizes_get (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 11))
        (then (drop (call $clock_res_get (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 12))
        (then (drop (call $clock_time_get (call $arg) (call $wide) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 13))
        (then (drop (call $environ_get (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 14))
        (then (drop (call $environ_sizes_get (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 15))
        (then (drop (call $fd_advise (call $arg) (call $wide) (call $wide) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 16))
        (then (drop (call $fd_allocate (call $arg) (call $wide) (call $wide)))))
      (if (i32.eq (local.get $op) (i32.const 17)) (then (drop (call $fd_close (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 18)) (then (drop (call $fd_datasync (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 19))
        (then (drop (call $fd_fdstat_get (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 20))
        (then (drop (call $fd_fdstat_set_flags (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 21))
        (then (drop (call $fd_fdstat_set_rights (call $arg) (call $wide) (call $wide)))))
      (if (i32.eq (local.get $op) (i32.const 22))
        (then (drop (call $fd_filestat_get (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 23))
        (then (drop (call $fd_filestat_set_size (call $arg) (call $wide)))))
      (if (i32.eq (local.get $op) (i32.const 24))
        (then (drop (call $fd_filestat_set_times (call $arg) (call $wide)
          (call $wide) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 25))
        (then (drop (call $fd_pread (call $arg) (call $arg) (call $arg) (call $wide) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 26))
        (then (drop (call $fd_prestat_dir_name (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 27))
        (then (drop (call $fd_prestat_get (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 28))
        (then (drop (call $fd_pwrite (call $arg) (call $arg)
          (call $arg) (call $wide) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 29))
        (then (drop (call $fd_read (call $arg) (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 30))
        (then (drop (call $fd_readdir (call $arg) (call $arg)
          (call $arg) (call $wide) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 31))
        (then (drop (call $fd_renumber (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 32))
        (then (drop (call $fd_seek (call $arg) (call $wide) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 33)) (then (drop (call $fd_sync (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 34))
        (then (drop (call $fd_tell (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 35))
        (then (drop (call $fd_write (call $arg) (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 36))
        (then (drop (call $path_create_directory (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 37))
        (then (drop (call $path_filestat_get (call $arg) (call $arg)
          (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 38))
        (then (drop (call $path_filestat_set_times (call $arg) (call $arg) (call $arg)
          (call $arg) (call $wide) (call $wide) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 39))
        (then (drop (call $path_link (call $arg) (call $arg) (call $arg)
          (call $arg) (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 40))
        (then (drop (call $path_open (call $arg) (call $arg) (call $arg) (call $arg)
          (call $arg) (call $wide) (call $wide) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 41))
        (then (drop (call $path_readlink (call $arg) (call $arg) (call $arg)
          (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 42))
        (then (drop (call $path_remove_directory (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 43))
        (then (drop (call $path_rename (call $arg) (call $arg) (call $arg)
          (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 44))
        (then (drop (call $path_symlink (call $arg) (call $arg)
          (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 45))
        (then (drop (call $path_unlink_file (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 46))
        (then (drop (call $poll_oneoff (call $arg) (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 47)) (then (call $proc_exit (call $arg))))
      (if (i32.eq (local.get $op) (i32.const 48)) (then (drop (call $proc_raise (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 49))
        (then (drop (call $random_get (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 50)) (then (drop (call $sched_yield))))
      (if (i32.eq (local.get $op) (i32.const 51))
        (then (drop (call $sock_accept (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 52))
        (then (drop (call $sock_recv (call $arg) (call $arg) (call $arg)
          (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 53))
        (then (drop (call $sock_send (call $arg) (call $arg) (call $arg) (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 54))
        (then (drop (call $sock_shutdown (call $arg) (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 55))
        (then (call $abort (call $arg) (call $arg) (call $arg) (call $arg))))
      (if (i32.eq (local.get $op) (i32.const 56)) (then (drop (memory.grow (call $arg)))))
      (if (i32.eq (local.get $op) (i32.const 57))
        (then (i32.store (i32.and (call $arg) (i32.const 0xffff)) (call $arg))))
      ;; Again from the first call, one level deeper.
      (if (i32.eq (local.get $op) (i32.const 58))
        (then (global.set $at (i32.const 132096)) (call $run)))
      (br $next)))

  (func $byte (result i32)
    (global.set $at (i32.add (global.get $at) (i32.const 1)))
    (i32.load8_u (i32.sub (global.get $at) (i32.const 1))))

  (func $arg (result i32) (call $of (call $byte)))

  (func $of (param $byte i32) (result i32)
    (if (i32.lt_u (local.get $byte) (i32.const 64))
      (then
        (return (i32.load offset=131072 (i32.mul (local.get $byte) (i32.const 4))))))
    (if (i32.lt_u (local.get $byte) (i32.const 192))
      (then (return (i32.sub (local.get $byte) (i32.const 64)))))
    (global.set $at (i32.add (global.get $at) (i32.const 4)))
    (i32.load (i32.sub (global.get $at) (i32.const 4))))

  (func $wide (result i64) (local $byte i32)
    (local.set $byte (call $byte))
    (if (i32.eq (local.get $byte) (i32.const 255))
      (then
        (global.set $at (i32.add (global.get $at) (i32.const 8)))
        (return (i64.load (i32.sub (global.get $at) (i32.const 8))))))
    (i64.extend_i32_s (call $of (local.get $byte)))))
