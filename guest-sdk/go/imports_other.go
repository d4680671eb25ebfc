//go:build !wasip1

package portcell

import (
	"fmt"
	"os"
)

// nowhere stands in for the server on other platforms: there is no peer, as in a trial instance,
// and the log is stderr.
type nowhere struct{}

var here imports = nowhere{}

func (nowhere) read([]byte) int32                          { return -int32(ENOTCONN) }
func (nowhere) write([]byte) int32                         { return -int32(ENOTCONN) }
func (nowhere) shutdown(int32) int32                       { return -int32(ENOTCONN) }
func (nowhere) close() int32                               { return -int32(ENOTCONN) }
func (nowhere) setTimeout(_, _ int32) int32                { return -int32(ENOTCONN) }
func (nowhere) info(string, []byte) int32                  { return -int32(ENOENT) }
func (nowhere) startTLS(_, _ string) int32                 { return -int32(ENOTCONN) }
func (nowhere) poll(asked Events, _ int32) (Events, int32) { return asked | Failed, 1 }

func (nowhere) log(level Level, text string) int32 {
	fmt.Fprintf(os.Stderr, "%d: %s\n", level, text)
	return 0
}
