package wire

import (
	"fmt"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// Message is a core's message.
type Message = sched.Message

// Op is what an Ask wants to know.
type Op uint8

// The questions of peers to each other.
const (
	OpQuery    Op = iota + 1 // Body is an ipc.Query; answered by what a command would be told
	OpProgram                // Body is a ProgramAsk; answered by a ProgramAnswer
	OpSole                   // Body is empty; answered by a SoleAnswer: what of the peer's jobs only the asker has
	OpClock                  // Body is empty; answered by a ClockAnswer
	OpQueryAll               // as OpQuery, but the peer that is asked asks all others too
	OpShow                   // Body is a ShowAsk; answered by a ShowAnswer: a job is made known to the asker
)

// Ask is a question. The answer comes within Wait milliseconds, or nobody wants
// it any more.
type Ask struct {
	ID   uint32 `cbor:"1,keyasint"`
	Op   Op     `cbor:"2,keyasint"`
	Wait uint32 `cbor:"3,keyasint,omitempty"`
	Body []byte `cbor:"4,keyasint,omitempty"`
}

// Answer is a part of the answer to an Ask, the last one if More is not set.
type Answer struct {
	ID      uint32         `cbor:"1,keyasint"`
	Body    []byte         `cbor:"2,keyasint,omitempty"`
	Failure *raygo.Failure `cbor:"3,keyasint,omitempty"`
	More    bool           `cbor:"4,keyasint,omitempty"`
}

// ProgramAsk asks a job's owner for its program.
type ProgramAsk struct {
	Job      raygo.JobID `cbor:"1,keyasint"`
	Platform string      `cbor:"2,keyasint"` // os/arch
}

// ProgramAnswer names the program for the platform.
type ProgramAnswer struct {
	CID  string `cbor:"1,keyasint"`
	Size uint64 `cbor:"2,keyasint"`
}

// ShowAsk asks a job's owner to make the job known to the asker, where a program
// attaches to it.
type ShowAsk struct {
	Job raygo.JobID `cbor:"1,keyasint"`
}

// ShowAnswer says whether that was done, or whether the peer has heard of the job,
// which another one owns or takes over.
type ShowAnswer struct {
	Shown bool `cbor:"1,keyasint,omitempty"`
	Heard bool `cbor:"2,keyasint,omitempty"`
}

// ClockAnswer is what time it is at a peer, in Unix nanoseconds.
type ClockAnswer struct {
	Now int64 `cbor:"1,keyasint"`
}

// SoleAnswer counts the objects that are needed and that only the asker has.
type SoleAnswer struct {
	Objects int `cbor:"1,keyasint"`
}

// Log carries output of a job's workers to the job's owner, and from there to peers
// where drivers of the job are. Body is an ipc.Log.
type Log struct {
	Job  raygo.JobID `cbor:"1,keyasint"`
	Body []byte      `cbor:"2,keyasint"`
}

// ReadsLogs tells the owner of a job whether the sender has drivers of it, who read
// its output.
type ReadsLogs struct {
	Job   raygo.JobID `cbor:"1,keyasint"`
	Reads bool        `cbor:"2,keyasint,omitempty"`
}

// JobInfo is what executors are told of a job: the Info of sched.JobOpen.
type JobInfo struct {
	Name      string            `cbor:"1,keyasint,omitempty"`
	Program   string            `cbor:"2,keyasint,omitempty"` // what to show
	Functions map[string]string `cbor:"3,keyasint,omitempty"`
	Dir       string            `cbor:"4,keyasint,omitempty"`
	Logs      bool              `cbor:"5,keyasint,omitempty"`
	Platforms []string          `cbor:"6,keyasint,omitempty"` // os/arch of the builds that there are
	Started   int64             `cbor:"7,keyasint,omitempty"` // Unix nanoseconds
	PID       int               `cbor:"8,keyasint,omitempty"` // of the driver
}

// Encoded is a body of this file in CBOR. It panics on a type that cannot be
// encoded: bodies are our own types.
func Encoded(v any) []byte {
	b, err := enc.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("wire: encode %T: %v", v, err))
	}
	return b
}

// Decoded reads what Encoded wrote.
func Decoded(body []byte, into any) error { return decode(body, into) }

// Frame is a frame of a kind that is no core's message: Log, Ask, Answer.
func Frame(k Kind, v any) ([]byte, error) {
	b, err := frame(k, v)
	if err == nil && len(b) > MaxFrame {
		err = fmt.Errorf("%w: %d bytes of %T, a frame takes %d", ErrTooLarge, len(b), v, MaxFrame)
	}
	return b, err
}

// Gossip is a frame of the gossip package's bytes.
func Gossip(body []byte) []byte {
	return append([]byte{Version, byte(KindGossip)}, body...)
}
