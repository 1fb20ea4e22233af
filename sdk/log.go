package raygo

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/raygo/raygo/sdk/ipc"
)

var logMutex sync.Mutex

// printLog writes lines of tasks' output, or of the peer itself, to stderr.
func printLog(l *ipc.Log) {
	var b bytes.Buffer
	prefix := fmt.Sprintf("(%s pid=%d peer=%s) ", shortFunction(l.Function), l.PID, shortPeer(l.Peer))
	switch {
	case l.Hint && os.Getenv(HintsEnv) == "off":
		return
	case l.Hint:
		prefix = "(raygo hint) "
	case l.Warning || l.Function == "":
		prefix = fmt.Sprintf("(raygo peer=%s) ", shortPeer(l.Peer))
	}
	for _, line := range l.Lines {
		b.WriteString(prefix)
		b.WriteString(line)
		b.WriteByte('\n')
	}
	logMutex.Lock()
	defer logMutex.Unlock()
	_, _ = os.Stderr.Write(b.Bytes())
}

// shortFunction is a function's name without its package.
func shortFunction(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 && i+1 < len(name) {
		return name[i+1:]
	}
	return name
}

// shortPeer is the end of a peer ID, which is where they differ.
func shortPeer(id string) string {
	if len(id) > 8 {
		return id[len(id)-8:]
	}
	return id
}
