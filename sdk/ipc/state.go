package ipc

import "time"

// Rows is an answer that lists. It says how many rows there are in all, whether
// some were cut, and how many peers were asked and answered.
type Rows[R any] struct {
	Rows      []R   `cbor:"1,keyasint" json:"rows" yaml:"rows"`
	Total     int   `cbor:"2,keyasint" json:"total" yaml:"total"`
	Truncated bool  `cbor:"3,keyasint" json:"truncated" yaml:"truncated"`
	Peers     Asked `cbor:"4,keyasint" json:"peers" yaml:"peers"`
}

// Asked counts the peers behind an answer.
type Asked struct {
	Asked    int `cbor:"1,keyasint" json:"asked" yaml:"asked"`
	Answered int `cbor:"2,keyasint" json:"answered" yaml:"answered"`
}

// TaskRow is one attempt of a task.
type TaskRow struct {
	TaskID       string             `cbor:"1,keyasint" json:"task_id" yaml:"task_id"`
	Attempt      int                `cbor:"2,keyasint" json:"attempt" yaml:"attempt"`
	FuncName     string             `cbor:"3,keyasint" json:"func_name" yaml:"func_name"`
	State        string             `cbor:"4,keyasint" json:"state" yaml:"state"`
	JobID        string             `cbor:"5,keyasint" json:"job_id" yaml:"job_id"`
	ParentTaskID string             `cbor:"6,keyasint,omitempty" json:"parent_task_id" yaml:"parent_task_id"`
	PeerID       string             `cbor:"7,keyasint,omitempty" json:"peer_id" yaml:"peer_id"`
	WorkerPID    int                `cbor:"8,keyasint,omitempty" json:"worker_pid" yaml:"worker_pid"`
	Type         string             `cbor:"9,keyasint,omitempty" json:"type" yaml:"type"` // NORMAL_TASK
	Resources    map[string]float64 `cbor:"10,keyasint,omitempty" json:"required_resources,omitempty" yaml:"required_resources,omitempty"`
	ErrorType    string             `cbor:"11,keyasint,omitempty" json:"error_type,omitempty" yaml:"error_type,omitempty"`
	ErrorMessage string             `cbor:"12,keyasint,omitempty" json:"error_message,omitempty" yaml:"error_message,omitempty"`
	Created      time.Time          `cbor:"13,keyasint,omitempty" json:"creation_time" yaml:"creation_time"`
	Started      time.Time          `cbor:"14,keyasint,omitempty" json:"start_time,omitzero" yaml:"start_time,omitempty"`
	Ended        time.Time          `cbor:"15,keyasint,omitempty" json:"end_time,omitzero" yaml:"end_time,omitempty"`
	Progress     string             `cbor:"16,keyasint,omitempty" json:"progress,omitempty" yaml:"progress,omitempty"`
	Reason       string             `cbor:"17,keyasint,omitempty" json:"reason,omitempty" yaml:"reason,omitempty"` // why it waits
	Depth        int                `cbor:"18,keyasint,omitempty" json:"depth" yaml:"depth"`
}

// ObjectRow is one object.
type ObjectRow struct {
	ObjectID string `cbor:"1,keyasint" json:"object_id" yaml:"object_id"`
	State    string `cbor:"2,keyasint" json:"state" yaml:"state"` // PENDING, INLINE, IN_MEMORY, SPILLED, FAILED
	Size     int64  `cbor:"3,keyasint" json:"size" yaml:"size"`
	CID      string `cbor:"4,keyasint,omitempty" json:"cid" yaml:"cid"`
	JobID    string `cbor:"5,keyasint" json:"job_id" yaml:"job_id"`
	TaskID   string `cbor:"6,keyasint" json:"task_id" yaml:"task_id"`
	PeerID   string `cbor:"7,keyasint" json:"peer_id" yaml:"peer_id"`
	Refs     int    `cbor:"8,keyasint" json:"refs" yaml:"refs"`                  // held by processes
	TaskPins int    `cbor:"9,keyasint" json:"task_pins" yaml:"task_pins"`        // needed by unfinished tasks
	Contains int    `cbor:"10,keyasint" json:"contained_in" yaml:"contained_in"` // live objects it is nested in
	Mapped   int    `cbor:"11,keyasint" json:"mapped" yaml:"mapped"`             // processes that map it now
	FuncName string `cbor:"12,keyasint,omitempty" json:"func_name" yaml:"func_name"`
}

// NodeRow is one peer.
type NodeRow struct {
	PeerID   string             `cbor:"1,keyasint" json:"peer_id" yaml:"peer_id"`
	Alive    bool               `cbor:"2,keyasint" json:"alive" yaml:"alive"`
	State    string             `cbor:"3,keyasint" json:"state" yaml:"state"` // ALIVE, DRAINING, SUSPECTED, UNREACHABLE, DEAD, LEFT, EXPELLED
	Addrs    []string           `cbor:"4,keyasint,omitempty" json:"addrs" yaml:"addrs"`
	Total    map[string]float64 `cbor:"5,keyasint" json:"resources_total" yaml:"resources_total"`
	Free     map[string]float64 `cbor:"6,keyasint" json:"resources_free" yaml:"resources_free"`
	Labels   map[string]string  `cbor:"7,keyasint,omitempty" json:"labels" yaml:"labels"`
	Platform string             `cbor:"8,keyasint" json:"platform" yaml:"platform"`
	Version  string             `cbor:"9,keyasint" json:"version" yaml:"version"`
	Tier     string             `cbor:"10,keyasint" json:"isolation_tier" yaml:"isolation_tier"`
	Workers  int                `cbor:"11,keyasint" json:"workers" yaml:"workers"`
	Pending  int                `cbor:"12,keyasint" json:"pending_tasks" yaml:"pending_tasks"`
	Running  int                `cbor:"13,keyasint" json:"running_tasks" yaml:"running_tasks"`
	Store    StoreUsage         `cbor:"14,keyasint" json:"object_store" yaml:"object_store"`
	Started  time.Time          `cbor:"15,keyasint" json:"start_time" yaml:"start_time"`
	Hostname string             `cbor:"16,keyasint,omitempty" json:"hostname" yaml:"hostname"`
	PID      int                `cbor:"17,keyasint,omitempty" json:"pid" yaml:"pid"`

	// Reach is whether others can dial it: public, private or unknown; local
	// when it listens on this machine alone, none when nowhere; with what to
	// change in Advice. Empty for a peer that does not answer.
	Reach  string   `cbor:"18,keyasint,omitempty" json:"reachability" yaml:"reachability"`
	Advice []string `cbor:"19,keyasint,omitempty" json:"reachability_advice,omitempty" yaml:"reachability_advice,omitempty"`
	// Links are its links to other peers.
	Links []LinkRow `cbor:"20,keyasint,omitempty" json:"links,omitempty" yaml:"links,omitempty"`
	// Ways are the means against a router between peers that are on: relay,
	// hole-punch, port-map.
	Ways []string `cbor:"21,keyasint,omitempty" json:"reachability_by,omitempty" yaml:"reachability_by,omitempty"`
}

// LinkRow is one peer's link to another, as that one peer sees it.
type LinkRow struct {
	PeerID  string        `cbor:"1,keyasint" json:"peer_id" yaml:"peer_id"`
	Addr    string        `cbor:"2,keyasint,omitempty" json:"addr" yaml:"addr"`
	Relayed bool          `cbor:"3,keyasint,omitempty" json:"relayed" yaml:"relayed"`
	RTT     time.Duration `cbor:"4,keyasint,omitempty" json:"rtt_ns" yaml:"rtt_ns"`
	// Fetched and Served are bytes of objects and programs, since the peer
	// started; Rate is what that link was seen to carry, in bytes per second.
	Fetched int64   `cbor:"5,keyasint,omitempty" json:"bytes_fetched" yaml:"bytes_fetched"`
	Served  int64   `cbor:"6,keyasint,omitempty" json:"bytes_served" yaml:"bytes_served"`
	Rate    float64 `cbor:"7,keyasint,omitempty" json:"bytes_per_second,omitempty" yaml:"bytes_per_second,omitempty"`
}

// StoreUsage is what an object store holds, in bytes and counts.
type StoreUsage struct {
	Limit       int64 `cbor:"1,keyasint" json:"limit" yaml:"limit"`
	Used        int64 `cbor:"2,keyasint" json:"used" yaml:"used"`
	Pinned      int64 `cbor:"3,keyasint" json:"pinned" yaml:"pinned"`
	Spilled     int64 `cbor:"4,keyasint" json:"spilled" yaml:"spilled"`
	Objects     int   `cbor:"5,keyasint" json:"objects" yaml:"objects"`
	SpilledEver int64 `cbor:"6,keyasint" json:"spilled_total" yaml:"spilled_total"`
	Restored    int64 `cbor:"7,keyasint" json:"restored_total" yaml:"restored_total"`
	Waiting     int   `cbor:"8,keyasint" json:"waiting_puts" yaml:"waiting_puts"`
}

// WorkerRow is one worker process.
type WorkerRow struct {
	WorkerID string    `cbor:"1,keyasint" json:"worker_id" yaml:"worker_id"`
	PID      int       `cbor:"2,keyasint" json:"pid" yaml:"pid"`
	State    string    `cbor:"3,keyasint" json:"state" yaml:"state"` // STARTING, IDLE, BUSY, BLOCKED, STOPPING
	JobID    string    `cbor:"4,keyasint" json:"job_id" yaml:"job_id"`
	Program  string    `cbor:"5,keyasint" json:"program" yaml:"program"`
	TaskID   string    `cbor:"6,keyasint,omitempty" json:"task_id" yaml:"task_id"`
	FuncName string    `cbor:"7,keyasint,omitempty" json:"func_name" yaml:"func_name"`
	PeerID   string    `cbor:"8,keyasint" json:"peer_id" yaml:"peer_id"`
	GPUIDs   []string  `cbor:"9,keyasint,omitempty" json:"gpu_ids,omitempty" yaml:"gpu_ids,omitempty"`
	Started  time.Time `cbor:"10,keyasint" json:"start_time" yaml:"start_time"`
	Calls    int       `cbor:"11,keyasint" json:"calls" yaml:"calls"`
	RSS      int64     `cbor:"12,keyasint" json:"rss" yaml:"rss"`
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
	JobID     string    `cbor:"1,keyasint" json:"job_id" yaml:"job_id"`
	Name      string    `cbor:"2,keyasint" json:"name" yaml:"name"`
	State     string    `cbor:"3,keyasint" json:"state" yaml:"state"` // one of the Job constants
	Program   string    `cbor:"4,keyasint" json:"program" yaml:"program"`
	CID       string    `cbor:"5,keyasint,omitempty" json:"program_cid" yaml:"program_cid"`
	PID       int       `cbor:"6,keyasint" json:"driver_pid" yaml:"driver_pid"`
	Started   time.Time `cbor:"7,keyasint" json:"start_time" yaml:"start_time"`
	Ended     time.Time `cbor:"8,keyasint,omitempty" json:"end_time,omitzero" yaml:"end_time,omitempty"`
	Tasks     int       `cbor:"9,keyasint" json:"tasks" yaml:"tasks"`        // all that it has had
	Finished  int       `cbor:"10,keyasint" json:"finished" yaml:"finished"` // ended with a value
	Failed    int       `cbor:"11,keyasint" json:"failed" yaml:"failed"`
	PeerID    string    `cbor:"12,keyasint" json:"peer_id" yaml:"peer_id"`                                   // the owner
	Guardians []string  `cbor:"13,keyasint,omitempty" json:"guardians,omitempty" yaml:"guardians,omitempty"` // with copies of its records: they go on with it if the owner dies
	Reason    string    `cbor:"14,keyasint,omitempty" json:"reason,omitempty" yaml:"reason,omitempty"`       // why it failed or was stopped
}

// ClusterStatus is the answer to QueryStatus.
type ClusterStatus struct {
	Time    time.Time     `cbor:"1,keyasint" json:"time" yaml:"time"`
	Nodes   Rows[NodeRow] `cbor:"2,keyasint" json:"nodes" yaml:"nodes"`
	Demands []Demand      `cbor:"3,keyasint,omitempty" json:"demands" yaml:"demands"`
	Jobs    int           `cbor:"4,keyasint" json:"jobs" yaml:"jobs"`
}

// Demand is how many tasks of one shape wait for a place.
type Demand struct {
	Shape      map[string]float64 `cbor:"1,keyasint" json:"shape" yaml:"shape"`
	FuncName   string             `cbor:"2,keyasint" json:"func_name" yaml:"func_name"`
	Count      int                `cbor:"3,keyasint" json:"count" yaml:"count"`
	Infeasible string             `cbor:"4,keyasint,omitempty" json:"infeasible,omitempty" yaml:"infeasible,omitempty"`
}

// Summary is the answer to QuerySummary.
type Summary struct {
	Time   time.Time      `cbor:"1,keyasint" json:"time" yaml:"time"`
	Groups []SummaryGroup `cbor:"2,keyasint" json:"groups" yaml:"groups"`
	Total  int            `cbor:"3,keyasint" json:"total" yaml:"total"`
	Bytes  int64          `cbor:"4,keyasint,omitempty" json:"bytes,omitempty" yaml:"bytes,omitempty"`
	Peers  Asked          `cbor:"5,keyasint" json:"peers" yaml:"peers"`
}

// SummaryGroup counts tasks of one function, or objects of one maker, by state.
type SummaryGroup struct {
	FuncName string         `cbor:"1,keyasint" json:"func_name" yaml:"func_name"`
	States   map[string]int `cbor:"2,keyasint" json:"state_counts" yaml:"state_counts"`
	Type     string         `cbor:"3,keyasint,omitempty" json:"type" yaml:"type"`
	Bytes    int64          `cbor:"4,keyasint,omitempty" json:"bytes,omitempty" yaml:"bytes,omitempty"`
}

// Explanation is the answer to QueryExplain: why a task is where it is, or why
// it waits.
type Explanation struct {
	Task      TaskRow  `cbor:"1,keyasint" json:"task" yaml:"task"`
	Decisions []string `cbor:"2,keyasint" json:"decisions" yaml:"decisions"`
}

// LogChunk is a piece of a task's or a job's output. The last one also says who
// has more of it.
type LogChunk struct {
	Lines []string `cbor:"1,keyasint" json:"lines" yaml:"lines"`
	// Ran are other peers that ran attempts of it, of one peer's answer.
	Ran []string `cbor:"2,keyasint,omitempty" json:"-" yaml:"-"`
	// Missing are those of them whose lines are not here: they did not answer.
	Missing []string `cbor:"3,keyasint,omitempty" json:"missing,omitempty" yaml:"missing,omitempty"`
}

// CancelReport is the answer to QueryCancel.
type CancelReport struct {
	NeverStarted int `cbor:"1,keyasint" json:"never_started" yaml:"never_started"`
	Stopped      int `cbor:"2,keyasint" json:"stopped" yaml:"stopped"`
	AlreadyDone  int `cbor:"3,keyasint" json:"already_done" yaml:"already_done"`
	Unreachable  int `cbor:"4,keyasint" json:"unreachable" yaml:"unreachable"`
}

// Timeline is the answer to QueryTimeline: events of the Chrome trace format.
type Timeline struct {
	Events []TraceEvent `cbor:"1,keyasint" json:"traceEvents" yaml:"traceEvents"`
}

// TraceEvent is one event of the Chrome trace format.
type TraceEvent struct {
	Name  string            `cbor:"1,keyasint" json:"name" yaml:"name"`
	Cat   string            `cbor:"2,keyasint,omitempty" json:"cat,omitempty" yaml:"cat,omitempty"`
	Phase string            `cbor:"3,keyasint" json:"ph" yaml:"ph"`
	TS    float64           `cbor:"4,keyasint" json:"ts" yaml:"ts"` // microseconds
	Dur   float64           `cbor:"5,keyasint,omitempty" json:"dur,omitempty" yaml:"dur,omitempty"`
	PID   int               `cbor:"6,keyasint" json:"pid" yaml:"pid"`
	TID   int               `cbor:"7,keyasint" json:"tid" yaml:"tid"`
	ID    string            `cbor:"8,keyasint,omitempty" json:"id,omitempty" yaml:"id,omitempty"`
	BP    string            `cbor:"9,keyasint,omitempty" json:"bp,omitempty" yaml:"bp,omitempty"`
	Args  map[string]string `cbor:"10,keyasint,omitempty" json:"args,omitempty" yaml:"args,omitempty"`
}

// MemoryReport is the answer to QueryMemory.
type MemoryReport struct {
	Store   StoreUsage      `cbor:"1,keyasint" json:"object_store" yaml:"object_store"`
	Objects Rows[ObjectRow] `cbor:"2,keyasint" json:"objects" yaml:"objects"`
	Workers []WorkerRow     `cbor:"3,keyasint" json:"workers" yaml:"workers"`
	Host    HostMemory      `cbor:"4,keyasint" json:"host" yaml:"host"`
}

// HostMemory is the machine's memory in bytes.
type HostMemory struct {
	Total     int64 `cbor:"1,keyasint" json:"total" yaml:"total"`
	Available int64 `cbor:"2,keyasint" json:"available" yaml:"available"`
	OOMKills  int   `cbor:"3,keyasint" json:"oom_kills" yaml:"oom_kills"`
}

// ReplaySpec is what it takes to run an attempt again: the program's file, the
// class and the resolved arguments.
type ReplaySpec struct {
	Program string            `cbor:"1,keyasint" json:"program" yaml:"program"` // path of the kept executable
	CID     string            `cbor:"2,keyasint" json:"program_cid" yaml:"program_cid"`
	Class   Class             `cbor:"3,keyasint" json:"class" yaml:"class"`
	Task    string            `cbor:"4,keyasint" json:"task_id" yaml:"task_id"`
	Attempt uint32            `cbor:"5,keyasint" json:"attempt" yaml:"attempt"`
	Args    []byte            `cbor:"6,keyasint" json:"args" yaml:"args"`     // argument section
	Values  map[string][]byte `cbor:"7,keyasint" json:"values" yaml:"values"` // object ID to format byte and bytes
	Env     map[string]string `cbor:"8,keyasint,omitempty" json:"env,omitempty" yaml:"env,omitempty"`
}

// Invite is the answer to QueryInvite: a string that one newcomer swaps for its
// membership.
type Invite struct {
	Text    string    `cbor:"1,keyasint" json:"invite" yaml:"invite"`
	Cluster string    `cbor:"2,keyasint" json:"cluster_id" yaml:"cluster_id"`
	Role    string    `cbor:"3,keyasint" json:"role" yaml:"role"`
	Expires time.Time `cbor:"4,keyasint" json:"expires" yaml:"expires"`
}

// Revoked is the answer to QueryRevoke.
type Revoked struct {
	PeerID  string `cbor:"1,keyasint" json:"peer_id" yaml:"peer_id"`
	Cluster string `cbor:"2,keyasint" json:"cluster_id" yaml:"cluster_id"`
	Epoch   uint64 `cbor:"3,keyasint" json:"epoch" yaml:"epoch"` // of the deny list
	Denied  int    `cbor:"4,keyasint" json:"denied" yaml:"denied"`
}

// MemberRow is one peer that is or was a member of the cluster.
type MemberRow struct {
	PeerID string    `cbor:"1,keyasint" json:"peer_id" yaml:"peer_id"`
	Role   string    `cbor:"2,keyasint" json:"role" yaml:"role"`
	State  string    `cbor:"3,keyasint" json:"state" yaml:"state"`                                          // SELF, CONNECTED, EXPELLED
	Until  time.Time `cbor:"4,keyasint,omitempty" json:"valid_until,omitzero" yaml:"valid_until,omitempty"` // of its certificate
	Since  time.Time `cbor:"5,keyasint,omitempty" json:"expelled,omitzero" yaml:"expelled,omitempty"`
}
