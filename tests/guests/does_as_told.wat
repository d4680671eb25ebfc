;; Does what the peer's bytes say, one after another:
;;   e  sends an `e`              o  returns 0          f  returns 3
;;   t  traps                     s  spins              m  grows its memory until it may not, then traps
;;   r  resets the connection     c  closes it          l  logs a line
;;   w  sends without end         d  waits for a drain, sends a `d` and returns 0
;;   i  sleeps a second           S  sends an `S`, then spins
;;   M  as m, by 16 MiB at a time
;; The end of the input is an `o`, an error is an `f`.
(module
  (import "portcell_v1" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "shutdown" (func $shutdown (param i32 i32) (result i32)))
  (import "portcell_v1" "close" (func $close (param i32) (result i32)))
  (import "portcell_v1" "poll" (func $poll (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  ;; descriptor 0, events: draining
  (data (i32.const 16) "\00\00\00\00\08\00\00\00")
  (data (i32.const 32) "this is the guest")

  (func (export "handle") (result i32)
    (local $got i32)
    (local $byte i32)
    (loop $next
      (local.set $got (call $read (i32.const 0) (i32.const 0) (i32.const 1)))
      (if (i32.eqz (local.get $got)) (then (return (i32.const 0))))
      (if (i32.lt_s (local.get $got) (i32.const 0)) (then (return (i32.const 3))))
      (local.set $byte (i32.load8_u (i32.const 0)))
      (if (call $is (i32.const 101) (local.get $byte)) (then (call $send)))
      (if (call $is (i32.const 111) (local.get $byte)) (then (return (i32.const 0))))
      (if (call $is (i32.const 102) (local.get $byte)) (then (return (i32.const 3))))
      (if (call $is (i32.const 116) (local.get $byte)) (then (call $trap)))
      (if (call $is (i32.const 115) (local.get $byte)) (then (call $spin)))
      (if (call $is (i32.const 83) (local.get $byte)) (then (call $send) (call $spin)))
      (if (call $is (i32.const 109) (local.get $byte)) (then (call $grow (i32.const 1))))
      (if (call $is (i32.const 77) (local.get $byte)) (then (call $grow (i32.const 256))))
      (if (call $is (i32.const 114) (local.get $byte))
        (then (drop (call $shutdown (i32.const 0) (i32.const 3)))))
      (if (call $is (i32.const 99) (local.get $byte))
        (then (drop (call $close (i32.const 0))) (return (i32.const 0))))
      (if (call $is (i32.const 108) (local.get $byte))
        (then (drop (call $log (i32.const 3) (i32.const 32) (i32.const 17)))))
      (if (call $is (i32.const 119) (local.get $byte)) (then (call $flood)))
      (if (call $is (i32.const 105) (local.get $byte))
        (then (drop (call $poll (i32.const 0) (i32.const 0) (i32.const 1000)))))
      (if (call $is (i32.const 100) (local.get $byte))
        (then
          (drop (call $poll (i32.const 16) (i32.const 1) (i32.const -1)))
          (call $send)
          (return (i32.const 0))))
      (br $next))
    unreachable)

  (func $is (param i32 i32) (result i32) (i32.eq (local.get 0) (local.get 1)))

  ;; The byte that was read.
  (func $send
    (drop (call $write (i32.const 0) (i32.const 0) (i32.const 1))))

  (func $trap unreachable)

  (func $spin (loop $again (br $again)))

  (func $grow (param $pages i32)
    (loop $again
      (br_if $again (i32.ne (memory.grow (local.get $pages)) (i32.const -1))))
    unreachable)

  (func $flood
    (loop $again
      (br_if $again
        (i32.gt_s (call $write (i32.const 0) (i32.const 1024) (i32.const 65536)) (i32.const 0))))))
