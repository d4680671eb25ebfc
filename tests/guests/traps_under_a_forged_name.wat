;; Traps in a function whose name has a line of the log in it, and one of the receipts.
(module
  (memory (export "memory") 1)
  (func $traps
    (@name "forged\0a2026-01-01T00:00:00Z ERROR forged\0a{\22exit\22:{\22kind\22:\22ok\22}}\1b[2J")
    unreachable)
  (func (export "handle") (call $traps)))
