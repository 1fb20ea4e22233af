package ipc

import "time"

// Rows is an answer that lists. It says how many rows there are in all, whether
// some were cut, and how many peers were asked and answered.
type Rows[R any] struct {
	Rows      []R   `cbor:"1,keyasint" json:"rows"`
	Total     int   `cbor:"2,keyasint" json:"total"`
	Truncated bool  `cbor:"3,keyasint" json:"truncated"`
	Peers     Asked `cbor:"4,keyasint" json:"peers"`
}

// Asked counts the peers behind an answer.
type Asked struct {
	Asked    int `cbor:"1,keyasint" json:"asked"`
	Answered int `cbor:"2,keyasint" json:"answered"`
}

// TaskRow is one attempt of a task.
type TaskRow struct {
	TaskID       string             `cbor:"1,keyasint" json:"task_id"`
	Attempt      int                `cbor:"2,keyasint" json:"attempt"`
	FuncName     string             `cbor:"3,keyasint" json:"func_name"`
	State        string             `cbor:"4,keyasint" json:"state"`
	JobID        string             `cbor:"5,keyasint" json:"job_id"`
	ParentTaskID string             `cbor:"6,keyasint,omitempty" json:"parent_task_id"`
	PeerID       string             `cbor:"7,keyasint,omitempty" json:"peer_id"`
	WorkerPID    int                `cbor:"8,keyasint,omitempty" json:"worker_pid"`
	Type         string             `cbor:"9,keyasint,omitempty" json:"type"` // NORMAL_TASK
	Resources    map[string]float64 `cbor:"10,keyasint,omitempty" json:"required_resources,omitempty"`
	ErrorType    string             `cbor:"11,keyasint,omitempty" json:"error_type,omitempty"`
	ErrorMessage string             `cbor:"12,keyasint,omitempty" json:"error_message,omitempty"`
	Created      time.Time          `cbor:"13,keyasint,omitempty" json:"creation_time"`
	Started      time.Time          `cbor:"14,keyasint,omitempty" json:"start_time,omitzero"`
	Ended        time.Time          `cbor:"15,keyasint,omitempty" json:"end_time,omitzero"`
	Progress     string             `cbor:"16,keyasint,omitempty" json:"progress,omitempty"`
	Reason       string             `cbor:"17,keyasint,omitempty" json:"reason,omitempty"` // why it waits
	Depth        int                `cbor:"18,keyasint,omitempty" json:"depth"`
}

// ObjectRow is one object.
type ObjectRow struct {
	ObjectID string `cbor:"1,keyasint" json:"object_id"`
	State    string `cbor:"2,keyasint" json:"state"` // PENDING, INLINE, IN_MEMORY, SPILLED, FAILED
	Size     int64  `cbor:"3,keyasint" json:"size"`
	CID      string `cbor:"4,keyasint,omitempty" json:"cid"`
	JobID    string `cbor:"5,keyasint" json:"job_id"`
	TaskID   string `cbor:"6,keyasint" json:"task_id"`
	PeerID   string `cbor:"7,keyasint" json:"peer_id"`
	Refs     int    `cbor:"8,keyasint" json:"refs"`          // held by processes
	TaskPins int    `cbor:"9,keyasint" json:"task_pins"`     // needed by unfinished tasks
	Contains int    `cbor:"10,keyasint" json:"contained_in"` // live objects it is nested in
	Mapped   int    `cbor:"11,keyasint" json:"mapped"`       // processes that map it now
	FuncName string `cbor:"12,keyasint,omitempty" json:"func_name"`
}

// NodeRow is one peer.
type NodeRow struct {
	PeerID   string             `cbor:"1,keyasint" json:"peer_id"`
	Alive    bool               `cbor:"2,keyasint" json:"alive"`
	State    string             `cbor:"3,keyasint" json:"state"` // ALIVE, DRAINING, SUSPECTED, UNREACHABLE, DEAD, LEFT, EXPELLED
	Addrs    []string           `cbor:"4,keyasint,omitempty" json:"addrs"`
	Total    map[string]float64 `cbor:"5,keyasint" json:"resources_total"`
	Free     map[string]float64 `cbor:"6,keyasint" json:"resources_free"`
	Labels   map[string]string  `cbor:"7,keyasint,omitempty" json:"labels"`
	Platform string             `cbor:"8,keyasint" json:"platform"`
	Version  string             `cbor:"9,keyasint" json:"version"`
	Tier     string             `cbor:"10,keyasint" json:"isolation_tier"`
	Workers  int                `cbor:"11,keyasint" json:"workers"`
	Pending  int                `cbor:"12,keyasint" json:"pending_tasks"`
	Running  int                `cbor:"13,keyasint" json:"running_tasks"`
	Store    StoreUsage         `cbor:"14,keyasint" json:"object_store"`
	Started  time.Time          `cbor:"15,keyasint" json:"start_time"`
	Hostname string             `cbor:"16,keyasint,omitempty" json:"hostname"`
	PID      int                `cbor:"17,keyasint,omitempty" json:"pid"`

	// Reach is whether others can dial it: public, private or unknown; local
	// when it listens on this machine alone, none when nowhere; with what to
	// change in Advice. Empty for a peer that does not answer.
	Reach  string   `cbor:"18,keyasint,omitempty" json:"reachability"`
	Advice []string `cbor:"19,keyasint,omitempty" json:"reachability_advice,omitempty"`
	// Links are its links to other peers.
	Links []LinkRow `cbor:"20,keyasint,omitempty" json:"links,omitempty"`
	// Ways are the means against a router between peers that are on: relay,
	// hole-punch, port-map.
	Ways []string `cbor:"21,keyasint,omitempty" json:"reachability_by,omitempty"`
}

// LinkRow is one peer's link to another, as that one peer sees it.
type LinkRow struct {
	PeerID  string        `cbor:"1,keyasint" json:"peer_id"`
	Addr    string        `cbor:"2,keyasint,omitempty" json:"addr"`
	Relayed bool          `cbor:"3,keyasint,omitempty" json:"relayed"`
	RTT     time.Duration `cbor:"4,keyasint,omitempty" json:"rtt_ns"`
	// Fetched and Served are bytes of objects and programs, since the peer
	// started; Rate is what that link was seen to carry, in bytes per second.
	Fetched int64   `cbor:"5,keyasint,omitempty" json:"bytes_fetched"`
	Served  int64   `cbor:"6,keyasint,omitempty" json:"bytes_served"`
	Rate    float64 `cbor:"7,keyasint,omitempty" json:"bytes_per_second,omitempty"`
}

// StoreUsage is what an object store holds, in bytes and counts.
type StoreUsage struct {
	Limit       int64 `cbor:"1,keyasint" json:"limit"`
	Used        int64 `cbor:"2,keyasint" json:"used"`
	Pinned      int64 `cbor:"3,keyasint" json:"pinned"`
	Spilled     int64 `cbor:"4,keyasint" json:"spilled"`
	Objects     int   `cbor:"5,keyasint" json:"objects"`
	SpilledEver int64 `cbor:"6,keyasint" json:"spilled_total"`
	Restored    int64 `cbor:"7,keyasint" json:"restored_total"`
	Waiting     int   `cbor:"8,keyasint" json:"waiting_puts"`
}

// WorkerRow is one worker process.
type WorkerRow struct {
	WorkerID string    `cbor:"1,keyasint" json:"worker_id"`
	PID      int       `cbor:"2,keyasint" json:"pid"`
	State    string    `cbor:"3,keyasint" json:"state"` // STARTING, IDLE, BUSY, BLOCKED, STOPPING
	JobID    string    `cbor:"4,keyasint" json:"job_id"`
	Program  string    `cbor:"5,keyasint" json:"program"`
	TaskID   string    `cbor:"6,keyasint,omitempty" json:"task_id"`
	FuncName string    `cbor:"7,keyasint,omitempty" json:"func_name"`
	PeerID   string    `cbor:"8,keyasint" json:"peer_id"`
	GPUIDs   []string  `cbor:"9,keyasint,omitempty" json:"gpu_ids,omitempty"`
	Started  time.Time `cbor:"10,keyasint" json:"start_time"`
	Calls    int       `cbor:"11,keyasint" json:"calls"`
	RSS      int64     `cbor:"12,keyasint" json:"rss"`
}

// The states of a job. The last three are those of one that is over: its driver
// ended well; it failed, or was lost; somebody ended it.
const (
	JobRunning  = "RUNNING"
	JobDetached = "DETACHED"
	JobFinished = "FINISHED"
	JobFailed   = "FAILED"
	JobStopped  = "STOPPED"
)

// JobRow is one job.
type JobRow struct {
	JobID     string    `cbor:"1,keyasint" json:"job_id"`
	Name      string    `cbor:"2,keyasint" json:"name"`
	State     string    `cbor:"3,keyasint" json:"state"` // one of the Job constants
	Program   string    `cbor:"4,keyasint" json:"program"`
	CID       string    `cbor:"5,keyasint,omitempty" json:"program_cid"`
	PID       int       `cbor:"6,keyasint" json:"driver_pid"`
	Started   time.Time `cbor:"7,keyasint" json:"start_time"`
	Ended     time.Time `cbor:"8,keyasint,omitempty" json:"end_time,omitzero"`
	Tasks     int       `cbor:"9,keyasint" json:"tasks"`     // all that it has had
	Finished  int       `cbor:"10,keyasint" json:"finished"` // ended with a value
	Failed    int       `cbor:"11,keyasint" json:"failed"`
	PeerID    string    `cbor:"12,keyasint" json:"peer_id"`                       // the owner
	Guardians []string  `cbor:"13,keyasint,omitempty" json:"guardians,omitempty"` // with copies of its records: they go on with it if the owner dies
	Reason    string    `cbor:"14,keyasint,omitempty" json:"reason,omitempty"`    // why it failed or was stopped
}

// ClusterStatus is the answer to QueryStatus.
type ClusterStatus struct {
	Time    time.Time     `cbor:"1,keyasint" json:"time"`
	Nodes   Rows[NodeRow] `cbor:"2,keyasint" json:"nodes"`
	Demands []Demand      `cbor:"3,keyasint,omitempty" json:"demands"`
	Jobs    int           `cbor:"4,keyasint" json:"jobs"`
}

// Demand is how many tasks of one shape wait for a place.
type Demand struct {
	Shape      map[string]float64 `cbor:"1,keyasint" json:"shape"`
	FuncName   string             `cbor:"2,keyasint" json:"func_name"`
	Count      int                `cbor:"3,keyasint" json:"count"`
	Infeasible string             `cbor:"4,keyasint,omitempty" json:"infeasible,omitempty"`
}

// Summary is the answer to QuerySummary.
type Summary struct {
	Time   time.Time      `cbor:"1,keyasint" json:"time"`
	Groups []SummaryGroup `cbor:"2,keyasint" json:"groups"`
	Total  int            `cbor:"3,keyasint" json:"total"`
	Bytes  int64          `cbor:"4,keyasint,omitempty" json:"bytes,omitempty"`
	Peers  Asked          `cbor:"5,keyasint" json:"peers"`
}

// SummaryGroup counts tasks of one function, or objects of one maker, by state.
type SummaryGroup struct {
	FuncName string         `cbor:"1,keyasint" json:"func_name"`
	States   map[string]int `cbor:"2,keyasint" json:"state_counts"`
	Type     string         `cbor:"3,keyasint,omitempty" json:"type"`
	Bytes    int64          `cbor:"4,keyasint,omitempty" json:"bytes,omitempty"`
}

// Explanation is the answer to QueryExplain: why a task is where it is, or why
// it waits.
type Explanation struct {
	Task      TaskRow  `cbor:"1,keyasint" json:"task"`
	Decisions []string `cbor:"2,keyasint" json:"decisions"`
}

// LogChunk is a piece of a task's or a job's output. The last one also says who
// has more of it.
type LogChunk struct {
	Lines []string `cbor:"1,keyasint" json:"lines"`
	// Ran are other peers that ran attempts of it, of one peer's answer.
	Ran []string `cbor:"2,keyasint,omitempty" json:"-"`
	// Missing are those of them whose lines are not here: they did not answer.
	Missing []string `cbor:"3,keyasint,omitempty" json:"missing,omitempty"`
}

// CancelReport is the answer to QueryCancel.
type CancelReport struct {
	NeverStarted int `cbor:"1,keyasint" json:"never_started"`
	Stopped      int `cbor:"2,keyasint" json:"stopped"`
	AlreadyDone  int `cbor:"3,keyasint" json:"already_done"`
	Unreachable  int `cbor:"4,keyasint" json:"unreachable"`
}

// Timeline is the answer to QueryTimeline: events of the Chrome trace format.
type Timeline struct {
	Events []TraceEvent `cbor:"1,keyasint" json:"traceEvents"`
}

// TraceEvent is one event of the Chrome trace format.
type TraceEvent struct {
	Name  string            `cbor:"1,keyasint" json:"name"`
	Cat   string            `cbor:"2,keyasint,omitempty" json:"cat,omitempty"`
	Phase string            `cbor:"3,keyasint" json:"ph"`
	TS    float64           `cbor:"4,keyasint" json:"ts"` // microseconds
	Dur   float64           `cbor:"5,keyasint,omitempty" json:"dur,omitempty"`
	PID   int               `cbor:"6,keyasint" json:"pid"`
	TID   int               `cbor:"7,keyasint" json:"tid"`
	ID    string            `cbor:"8,keyasint,omitempty" json:"id,omitempty"`
	BP    string            `cbor:"9,keyasint,omitempty" json:"bp,omitempty"`
	Args  map[string]string `cbor:"10,keyasint,omitempty" json:"args,omitempty"`
}

// MemoryReport is the answer to QueryMemory.
type MemoryReport struct {
	Store   StoreUsage      `cbor:"1,keyasint" json:"object_store"`
	Objects Rows[ObjectRow] `cbor:"2,keyasint" json:"objects"`
	Workers []WorkerRow     `cbor:"3,keyasint" json:"workers"`
	Host    HostMemory      `cbor:"4,keyasint" json:"host"`
}

// HostMemory is the machine's memory in bytes.
type HostMemory struct {
	Total     int64 `cbor:"1,keyasint" json:"total"`
	Available int64 `cbor:"2,keyasint" json:"available"`
	OOMKills  int   `cbor:"3,keyasint" json:"oom_kills"`
}

// ReplaySpec is what it takes to run an attempt again: the program's file, the
// class and the resolved arguments.
type ReplaySpec struct {
	Program string            `cbor:"1,keyasint" json:"program"` // path of the kept executable
	CID     string            `cbor:"2,keyasint" json:"program_cid"`
	Class   Class             `cbor:"3,keyasint" json:"class"`
	Task    string            `cbor:"4,keyasint" json:"task_id"`
	Attempt uint32            `cbor:"5,keyasint" json:"attempt"`
	Args    []byte            `cbor:"6,keyasint" json:"args"`   // argument section
	Values  map[string][]byte `cbor:"7,keyasint" json:"values"` // object ID to format byte and bytes
	Env     map[string]string `cbor:"8,keyasint,omitempty" json:"env,omitempty"`
}

// Invite is the answer to QueryInvite: a string that one newcomer swaps for its
// membership.
type Invite struct {
	Text    string    `cbor:"1,keyasint" json:"invite"`
	Cluster string    `cbor:"2,keyasint" json:"cluster_id"`
	Role    string    `cbor:"3,keyasint" json:"role"`
	Expires time.Time `cbor:"4,keyasint" json:"expires"`
}

// Revoked is the answer to QueryRevoke.
type Revoked struct {
	PeerID  string `cbor:"1,keyasint" json:"peer_id"`
	Cluster string `cbor:"2,keyasint" json:"cluster_id"`
	Epoch   uint64 `cbor:"3,keyasint" json:"epoch"` // of the deny list
	Denied  int    `cbor:"4,keyasint" json:"denied"`
}

// MemberRow is one peer that is or was a member of the cluster.
type MemberRow struct {
	PeerID string    `cbor:"1,keyasint" json:"peer_id"`
	Role   string    `cbor:"2,keyasint" json:"role"`
	State  string    `cbor:"3,keyasint" json:"state"`                          // SELF, CONNECTED, EXPELLED
	Until  time.Time `cbor:"4,keyasint,omitempty" json:"valid_until,omitzero"` // of its certificate
	Since  time.Time `cbor:"5,keyasint,omitempty" json:"expelled,omitzero"`
}
