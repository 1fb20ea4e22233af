package ipc

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	raygo "github.com/raygo/raygo"
)

// Role says what a process is.
type Role string

// The roles of a process.
const (
	RoleDriver  Role = "driver"
	RoleWorker  Role = "worker"
	RoleCommand Role = "command" // asks questions only: no job
)

// Hello is the body of the first frame.
type Hello struct {
	Role    Role   `cbor:"1,keyasint"`
	PID     int    `cbor:"2,keyasint,omitempty"`
	Program string `cbor:"3,keyasint,omitempty"` // base name of the executable; the peer reads its bytes through the process
	OS      string `cbor:"4,keyasint,omitempty"`
	Arch    string `cbor:"5,keyasint,omitempty"`
	JobName string `cbor:"6,keyasint,omitempty"`
	// Functions maps each registered function's name to the hash of its
	// signature; a worker's must contain what its driver's does.
	Functions   map[string]string `cbor:"7,keyasint,omitempty"`
	LogToDriver bool              `cbor:"8,keyasint,omitempty"`
	Detached    bool              `cbor:"9,keyasint,omitempty"`
	Attach      string            `cbor:"10,keyasint,omitempty"` // job ID
	Binaries    map[string]string `cbor:"11,keyasint,omitempty"` // "os/arch" to path, other builds of the program
	Args        []string          `cbor:"12,keyasint,omitempty"` // the driver's command line, to show
	Dir         string            `cbor:"13,keyasint,omitempty"` // working directory for workers
}

// Welcome is the body of the answer to Hello.
type Welcome struct {
	Version     uint16       `cbor:"1,keyasint"`
	Job         raygo.JobID  `cbor:"2,keyasint"`
	Proc        raygo.ProcID `cbor:"3,keyasint"`
	Peer        string       `cbor:"4,keyasint"`
	Socket      string       `cbor:"5,keyasint,omitempty"`
	ArenaSize   uint64       `cbor:"6,keyasint,omitempty"` // length of the sparse arena file
	InlineLimit int          `cbor:"7,keyasint"`
	GPUIDs      []string     `cbor:"8,keyasint,omitempty"` // worker
	PID         int          `cbor:"9,keyasint,omitempty"` // worker: its process ID as the machine sees it
	ViewBudget  uint64       `cbor:"10,keyasint,omitempty"`
	FirstSeq    uint32       `cbor:"11,keyasint,omitempty"` // first task sequence number to use
}

// Class is a function with the options of its calls.
type Class struct {
	Function  string        `cbor:"1,keyasint"`
	Signature string        `cbor:"2,keyasint"` // hash, compared across programs
	Options   raygo.Options `cbor:"3,keyasint"`
	Caller    string        `cbor:"4,keyasint,omitempty"` // file:line of the registration, for messages
}

// Note reports what a running task says of itself.
type Note struct {
	Task    raygo.TaskID `cbor:"1,keyasint"`
	Attempt uint32       `cbor:"2,keyasint,omitempty"`
	Span    string       `cbor:"3,keyasint,omitempty"`
	Start   time.Time    `cbor:"4,keyasint,omitempty"`
	End     time.Time    `cbor:"5,keyasint,omitempty"`
	Done    int64        `cbor:"6,keyasint,omitempty"` // progress
	Total   int64        `cbor:"7,keyasint,omitempty"`
}

// Goodbye is the last that a driver says: how its job ended. The job of one whose
// connection ends without it was not ended by its program.
type Goodbye struct {
	State  string `cbor:"1,keyasint"` // JobFinished, JobFailed or JobStopped
	Reason string `cbor:"2,keyasint,omitempty"`
}

// MaxReason bounds a Goodbye's reason, in bytes.
const MaxReason = 1 << 10

// Log carries lines of tasks' output to the driver.
type Log struct {
	Function string   `cbor:"1,keyasint,omitempty"`
	PID      int      `cbor:"2,keyasint,omitempty"`
	Peer     string   `cbor:"3,keyasint,omitempty"`
	Stderr   bool     `cbor:"4,keyasint,omitempty"`
	Lines    []string `cbor:"5,keyasint"`
	Warning  bool     `cbor:"6,keyasint,omitempty"` // said by the peer itself
	Hint     bool     `cbor:"7,keyasint,omitempty"` // advice on how the program is written
}

// Query is a question about the state of a peer or its cluster.
type Query struct {
	Op      string   `cbor:"1,keyasint"` // one of the Query constants
	ID      string   `cbor:"2,keyasint,omitempty"`
	Filters []string `cbor:"3,keyasint,omitempty"`
	Limit   int      `cbor:"4,keyasint,omitempty"`
	Detail  bool     `cbor:"5,keyasint,omitempty"`
	Follow  bool     `cbor:"6,keyasint,omitempty"`
	Force   bool     `cbor:"7,keyasint,omitempty"`
}

// The operations of a Query and what the Answer's body is.
const (
	QueryStatus    = "status"   // ClusterStatus
	QueryTasks     = "tasks"    // Rows[TaskRow]
	QueryObjects   = "objects"  // Rows[ObjectRow]
	QueryNodes     = "nodes"    // Rows[NodeRow]
	QueryWorkers   = "workers"  // Rows[WorkerRow]
	QueryJobs      = "jobs"     // Rows[JobRow]
	QuerySummary   = "summary"  // Summary; ID is "tasks" or "objects"
	QueryTask      = "task"     // Rows[TaskRow], every attempt of the task in ID
	QueryObject    = "object"   // Rows[ObjectRow]
	QueryExplain   = "explain"  // Explanation of the task in ID
	QueryLogs      = "logs"     // LogChunk, many when Follow; ID is a task or a job
	QueryCancel    = "cancel"   // CancelReport; ID is a task or a job
	QueryTimeline  = "timeline" // Timeline: Chrome trace events
	QueryMemory    = "memory"   // MemoryReport
	QueryReplay    = "replay"   // ReplaySpec of the task in ID
	QueryResources = "resources"
	QueryInvite    = "invite"  // Invite; ID is the role, Filters may have "ttl=1h"; from commands only
	QueryRevoke    = "revoke"  // Revoked; ID is a peer; from commands only
	QueryMembers   = "members" // Rows[MemberRow]
)

// Answer is the reply to a Query; a query that follows has many, the last one
// with More false.
type Answer struct {
	Failure *raygo.Failure  `cbor:"1,keyasint,omitempty"`
	Body    cbor.RawMessage `cbor:"2,keyasint,omitempty"`
	More    bool            `cbor:"3,keyasint,omitempty"`
}

// enc and dec are the CBOR modes of the protocol: times as RFC 3339 with
// nanoseconds, bounded decoding.
var (
	enc = must(cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.EncMode())
	dec = must(cbor.DecOptions{MaxArrayElements: 1 << 20, MaxMapPairs: 1 << 20, MaxNestedLevels: 32}.DecMode())
)

func must[M any](m M, err error) M {
	if err != nil {
		panic(err)
	}
	return m
}

// Marshal encodes a body of the protocol. It panics on a type that cannot be
// encoded: bodies are our own types.
func Marshal(v any) []byte {
	b, err := enc.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("ipc: encode %T: %v", v, err))
	}
	return b
}

// Unmarshal decodes a body of the protocol.
func Unmarshal(b []byte, v any) error {
	if err := dec.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: decode %T: %w", ErrFrame, v, err)
	}
	return nil
}

// AppendBody writes a frame of type t whose payload is v in CBOR.
func AppendBody(b []byte, t Type, v any) []byte {
	b, at := Begin(b, t)
	return End(append(b, Marshal(v)...), at)
}

// AppendNumbered writes a frame of type t whose payload is a number and v in
// CBOR: Class, Query, Answer.
func AppendNumbered(b []byte, t Type, n uint32, v any) []byte {
	b, at := Begin(b, t)
	b = u32(b, n)
	return End(append(b, Marshal(v)...), at)
}

// ParseNumbered reads what AppendNumbered wrote.
func ParseNumbered(p []byte, v any) (uint32, error) {
	if len(p) < 4 {
		return 0, fmt.Errorf("parse %T: %w: %d bytes", v, ErrFrame, len(p))
	}
	return binary.LittleEndian.Uint32(p), Unmarshal(p[4:], v)
}

const helloMagic = "raygo"

// AppendHello writes a Hello frame: magic, versions, CBOR.
func AppendHello(b []byte, h *Hello) []byte {
	b, at := Begin(b, TypeHello)
	b = append(b, helloMagic...)
	b = binary.LittleEndian.AppendUint16(b, MinVersion)
	b = binary.LittleEndian.AppendUint16(b, MaxVersion)
	return End(append(b, Marshal(h)...), at)
}

// ParseHello reads a Hello payload and chooses the version. A process with
// which no version is shared gets an error that names both ranges.
func ParseHello(p []byte) (h Hello, version uint16, err error) {
	if len(p) < len(helloMagic)+4 || string(p[:len(helloMagic)]) != helloMagic {
		return h, 0, fmt.Errorf("parse hello: %w: this is not a raygo program", ErrFrame)
	}
	p = p[len(helloMagic):]
	low, high := binary.LittleEndian.Uint16(p), binary.LittleEndian.Uint16(p[2:])
	version = min(high, MaxVersion)
	if version < low || version < MinVersion {
		return h, 0, fmt.Errorf("the program speaks raygo protocol %d to %d, this peer %d to %d: rebuild the older of the two", low, high, MinVersion, MaxVersion)
	}
	return h, version, Unmarshal(p[4:], &h)
}
