package portcell

import (
	"io"
	"strings"
)

// Log writes a line into the host's log, under the handler's name. The host bounds its length and
// how many there are.
func Log(level Level, text string) { here.log(level, text) }

// LogWriter is for the packages log and log/slog: each write is a line of this level.
//
//	log.SetOutput(portcell.LogWriter(portcell.LevelInfo))
func LogWriter(level Level) io.Writer { return logWriter(level) }

type logWriter Level

func (w logWriter) Write(p []byte) (int, error) {
	Log(Level(w), strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}
