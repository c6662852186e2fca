package parsers

import (
	"slices"
	"strconv"
	"strings"
	"sync"
)

// panType is one log type with its columns in the order of the newest version.
type panType struct {
	name    string // as in the record's type column
	kind    string // of events
	least   int    // columns of the oldest version
	session bool   // a flow between two addresses: these must be readable
	columns []panColumn
}

// panColumn is a column or key: the name of FORMATS and what becomes of it.
type panColumn struct {
	name string
	role panRole
}

// panRole says where the value of a column goes; panPlain is an x field.
type panRole uint8

const (
	panPlain panRole = iota
	panUnknown
	panTypeColumn
	panSubtype
	panReceive
	panGenerated
	panStart
	panPrecise
	panDeviceTime
	panElapsed
	panSerial
	panDevice
	panSrc
	panDst
	panClient // address of a client, or anything else
	panNATSrc
	panNATDst
	panSrcPort
	panDstPort
	panNATSrcPort
	panNATDstPort
	panProto
	panAction
	panReason
	panBytesOut
	panBytesIn
	panPacketsOut
	panPacketsIn
	panInterfaceIn
	panInterfaceOut
	panSrcZone
	panDstZone
	panRule
	panApp
	panUser
	panSrcCountry
	panDstCountry
	panURL
	panThreat
	panSNI
)

// panRoles are the columns that are more than x fields, by name, in every log type.
var panRoles = map[string]panRole{
	"type": panTypeColumn, "threat_content_type": panSubtype, "content_threat_type": panSubtype, "subtype": panSubtype,
	"receive_time": panReceive, "generated_time": panGenerated, "generate_time": panGenerated, "start_time": panStart,
	"high_resolution_timestamp": panPrecise, "high_res_timestamp": panPrecise, "elapsed_time": panElapsed,
	"serial_number": panSerial, "serial": panSerial, "device_name": panDevice,
	"source_address": panSrc, "destination_address": panDst, "nat_source_ip": panNATSrc, "nat_destination_ip": panNATDst,
	"source_port": panSrcPort, "destination_port": panDstPort, "nat_source_port": panNATSrcPort, "nat_destination_port": panNATDstPort,
	"protocol": panProto, "ip_protocol": panProto, "action": panAction, "session_end_reason": panReason,
	"bytes_sent": panBytesOut, "bytes_received": panBytesIn, "packets_sent": panPacketsOut, "packets_received": panPacketsIn,
	"inbound_interface": panInterfaceIn, "outbound_interface": panInterfaceOut, "source_zone": panSrcZone, "destination_zone": panDstZone,
	"rule_name": panRule, "rule": panRule, "application": panApp, "source_user": panUser, "user": panUser, "srcuser": panUser,
	"source_country": panSrcCountry, "source_location": panSrcCountry, "destination_country": panDstCountry, "destination_location": panDstCountry,
	"url_filename": panURL, "threat_id": panThreat, "server_name_indication": panSNI,
	"source_ip": panClient, "public_ip": panClient, "public_ipv6": panClient, "src": panClient,
}

// The tables of the log types; panTypeNamed finds one.
var (
	panTraffic        = &panType{name: "TRAFFIC", kind: "paloalto.traffic", least: 46, session: true, columns: panLayout(panTrafficColumns)}
	panThreatType     = &panType{name: "THREAT", kind: "paloalto.threat", least: 40, session: true, columns: panLayout(panThreatColumns)}
	panSystem         = &panType{name: "SYSTEM", kind: "paloalto.system", least: 16, columns: panLayout(panSystemColumns)}
	panConfig         = &panType{name: "CONFIG", kind: "paloalto.config", least: 16, columns: panLayout(panConfigColumns, "host:client", "admin:user")}
	panGlobalProtect  = &panType{name: "GLOBALPROTECT", kind: "paloalto.globalprotect", least: 30, columns: panLayout(panGlobalProtectColumns)}
	panHIPMatch       = &panType{name: "HIPMATCH", kind: "paloalto.hipmatch", least: 16, columns: panLayout(panHIPMatchColumns, "source_address:client", "ipv6_source_address:client")}
	panUserID         = &panType{name: "USERID", kind: "paloalto.userid", least: 19, columns: panLayout(panUserIDColumns, "source_port:", "destination_port:")}
	panDecryption     = &panType{name: "DECRYPTION", kind: "paloalto.decryption", least: 64, session: true, columns: panLayout(panDecryptionColumns)}
	panAuthentication = &panType{name: "AUTHENTICATION", kind: "paloalto.authentication", least: 24, columns: panLayout(panAuthenticationColumns)}
	panCorrelation    = &panType{name: "CORRELATION", kind: "paloalto.correlation", least: 20, columns: panLayout(panCorrelationColumns)}
	panIPTag          = &panType{name: "IPTAG", kind: "paloalto.iptag", least: 18, columns: panLayout(panIPTagColumns)}
	panTunnel         = &panType{name: "TUNNEL", kind: "paloalto.tunnel", least: 60, session: true, columns: panLayout(panTunnelColumns)}
	panSCTP           = &panType{name: "SCTP", kind: "paloalto.sctp", least: 40, session: true, columns: panLayout(panSCTPColumns)}
	panGTP            = &panType{name: "GTP", kind: "paloalto.gtp", least: 50, session: true, columns: panLayout(panGTPColumns)}
	panDNS            = &panType{name: "DNS", kind: "paloalto.dns", session: true, columns: panLayout(panDNSColumns)} // JSON alone
	panAudit          = &panType{name: "AUDIT", kind: "paloalto.audit", least: 8, columns: panLayout(panAuditColumns, "object:user")}
)

// Layouts that differ from the type's own.
var (
	panConfigShort        = panLayout(panConfigShortColumns, "host:client", "admin:user")
	panConfigOld          = append(panConfigShort[:16:16], panColumn{name: "before_change_detail"}, panColumn{name: "after_change_detail"}) // 6.x
	panSystemNoVsys       = without(panSystem.columns, 8)
	panDecryptionOld      = without(panDecryption.columns, 105) // 10.1
	panThreatFlowFirst    = swapped(panThreatType.columns, 122, 123)
	panTrafficNoContainer = without(panTraffic.columns, 111)
	panTrafficStrata      = without(panTraffic.columns, 22, 29, 39, 41, 44)
	panThreatStrata       = without(panThreatType.columns, 22, 29, 34, 38, 41, 42, 47, 49, 50, 61, 64, 71, 72, 75, 76)
	panURLStrata          = without(panThreatType.columns, 22, 29, 33, 38, 41, 44, 45, 48, 51, 52, 53, 54, 61, 71, 72, 104, 107)
)

// panSurplus are the names of columns that no layout has, by position from 0.
var panSurplus = sync.OnceValue(func() []string {
	names := make([]string, panMostColumns)
	for i := range names {
		names[i] = "column_" + strconv.Itoa(i+1)
	}
	return names
})

// panTypeNamed finds a log type by the word in the type column, whatever its
// case; nil if there is none.
func panTypeNamed(word []byte) *panType {
	var buf [16]byte
	if len(word) > len(buf) {
		return nil
	}
	n := 0
	for _, c := range word {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		switch {
		case c >= 'A' && c <= 'Z':
			buf[n] = c
			n++
		case c != '-' && c != '_' && c != ' ':
			return nil
		}
	}
	switch string(buf[:n]) {
	case "TRAFFIC":
		return panTraffic
	case "THREAT", "URL", "WILDFIRE", "DATA", "FILE", "VIRUS", "SPYWARE", "VULNERABILITY":
		return panThreatType
	case "SYSTEM":
		return panSystem
	case "CONFIG":
		return panConfig
	case "GLOBALPROTECT":
		return panGlobalProtect
	case "HIPMATCH":
		return panHIPMatch
	case "USERID":
		return panUserID
	case "DECRYPTION":
		return panDecryption
	case "AUTHENTICATION", "AUTH":
		return panAuthentication
	case "CORRELATION", "CORRELATEDEVENT":
		return panCorrelation
	case "IPTAG":
		return panIPTag
	case "TUNNEL", "START", "END", "TUNNELINSPECTION":
		return panTunnel
	case "SCTP":
		return panSCTP
	case "GTP":
		return panGTP
	case "AUDIT":
		return panAudit
	}
	return nil
}

// panLayout makes the table of a list of names. Each of others, "name:role",
// changes the role of a column in this log type: client, user or none.
func panLayout(names string, others ...string) []panColumn {
	var layout []panColumn
	for _, name := range strings.Fields(names) {
		c := panColumn{name, panRoles[name]}
		for _, o := range others {
			if column, role, _ := strings.Cut(o, ":"); column == name {
				c.role = map[string]panRole{"client": panClient, "user": panUser, "": panPlain}[role]
			}
		}
		layout = append(layout, c)
	}
	return layout
}

// own gives a column found by its key the role it has in this log type. Records
// that are about no session have clients, not sources and destinations.
func (k *panType) own(c panColumn) panColumn {
	for i := range k.columns {
		if k.columns[i].name == c.name {
			return k.columns[i]
		}
	}
	if c.role == panSubtype && k.columns[4].role == panSubtype {
		return k.columns[4]
	}
	if k.session {
		return c
	}
	switch c.role {
	case panSrc:
		c.role = panClient
	case panDst, panSrcPort, panDstPort:
		c.role = panPlain
	}
	return c
}

// without leaves out columns, counted from 1.
func without(layout []panColumn, columns ...int) []panColumn {
	var out []panColumn
	for i, c := range layout {
		if !slices.Contains(columns, i+1) {
			out = append(out, c)
		}
	}
	return out
}

// swapped exchanges two columns, counted from 1.
func swapped(layout []panColumn, a, b int) []panColumn {
	out := slices.Clone(layout)
	out[a-1], out[b-1] = out[b-1], out[a-1]
	return out
}

// panThreatSubtype reports whether a word is a subtype of THREAT, whatever its case.
func panThreatSubtype(b []byte) bool {
	for _, word := range panThreatSubtypes {
		if len(b) == len(word) && strings.EqualFold(text(b), word) {
			return true
		}
	}
	return false
}

var panThreatSubtypes = []string{"url", "virus", "spyware", "vulnerability", "file", "data", "wildfire", "wildfire-virus",
	"flood", "scan", "packet", "ml-virus", "dlp", "domain-edl"}
