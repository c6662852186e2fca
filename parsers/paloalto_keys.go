package parsers

import (
	"strings"
	"sync"
)

// panAliases are the names that the other dialects and the exports give to the
// columns of the syslog records: letters and digits of the key in lower case, then the
// column. Names equal to the column but for case and punctuation are not listed.
const panAliases = `
timereceived receive_time
logtime receive_time
devicesn serial_number
deviceexternalid serial_number
serial serial_number
logsourceid serial_number
generatetime generated_time
logtype type
logsubtype threat_content_type
subtype threat_content_type
timegenerated generated_time
src source_address
sourceip source_address
sourceipaddress source_address
sourceipv6address source_address
dst destination_address
destinationip destination_address
destip destination_address
destinationipaddress destination_address
destinationipv6address destination_address
dnsresolverip destination_address
natsource nat_source_ip
natsrc nat_source_ip
sourcetranslatedaddress nat_source_ip
srcpostnat nat_source_ip
natdestination nat_destination_ip
natdst nat_destination_ip
destinationtranslatedaddress nat_destination_ip
dstpostnat nat_destination_ip
srcport source_port
spt source_port
sport source_port
dstport destination_port
destport destination_port
dpt destination_port
dport destination_port
sourcetranslatedport nat_source_port
srcpostnatport nat_source_port
natsport nat_source_port
destinationtranslatedport nat_destination_port
dstpostnatport nat_destination_port
natdport nat_destination_port
rule rule_name
rulematched rule_name
securityrule rule_name
suser source_user
srcuser source_user
usrname source_user
sourceusername source_user
duser destination_user
dstuser destination_user
destinationusername destination_user
app application
vsys virtual_system
virtualsys virtual_system
virtuallocation virtual_system
srczone source_zone
fromzone source_zone
dstzone destination_zone
tozone destination_zone
deviceinboundinterface inbound_interface
ingressinterface inbound_interface
inboundif inbound_interface
inif inbound_interface
deviceoutboundinterface outbound_interface
egressinterface outbound_interface
outboundif outbound_interface
outif outbound_interface
logprofile log_action
logsetting log_action
logforwardingprofile log_action
cnt repeat_count
countofrepeats repeat_count
proto protocol
act action
totalbytes bytes
bytestotal bytes
srcbytes bytes_sent
sentbytes bytes_sent
dstbytes bytes_received
receivedbytes bytes_received
totalpackets packets
packetstotal packets
srcpackets packets_sent
pktssent packets_sent
dstpackets packets_received
pktsreceived packets_received
sessionstarttime start_time
sessionduration elapsed_time
elapsedtimesec elapsed_time
elapsedtimeinseconds elapsed_time
totaltimeelapsed elapsed_time
urlcat category
urlcategory category
sequence sequence_number
sequenceno sequence_number
seqno sequence_number
externalid sequence_number
srclocation source_location
dstlocation destination_location
srccountry source_country
dstcountry destination_country
dvchost device_name
vsysname virtual_system_name
vsrcname virtual_system_name
sessionendreason session_end_reason
timegeneratedhighresolution high_resolution_timestamp
timehighres high_resolution_timestamp
highrestimestamp high_resolution_timestamp
url url_filename
request url_filename
misc url_filename
miscellaneous url_filename
filename url_filename
urlfilename url_filename
threatname threat_id
dnsthreatname threat_id
logsourcename device_name
devname device_name
eventtime generated_time
threatcontentname threat_id
threatcontentid threat_id
directionofattack direction
sni server_name_indication
requestclientapplication user_agent
requestcontext content_type
requestmethod http_method
filehash file_digest
filesha256 file_digest
ruleuuid rule_uuid
srcuuid source_vm_uuid
sourceuuid source_vm_uuid
dstuuid destination_vm_uuid
destinationuuid destination_vm_uuid
srcipuuid source_vm_uuid
eventidvalue event_id
endpointdevicename machine_name
publicipv4 public_ip
privateipv4 private_ip
endpointsn serial_number_2
endpointserialnumber serial_number_2
globalprotectclientversion client_version
endpointostype client_os
endpointosversion client_os_version
quarantinereason reason
connectionerror error
eventstatus status
globalprotectgatewaylocation location
connectionmethod connect_method
connectionerrorid error_code
gatewayselectiontype selection_type
sslresponsetime response_time
gatewaypriority priority
authmethod authentication_method
dghierarchylevel1 device_group_hierarchy_level_1
dghierarchylevel2 device_group_hierarchy_level_2
dghierarchylevel3 device_group_hierarchy_level_3
dghierarchylevel4 device_group_hierarchy_level_4
devicegrouphierarchyl1 device_group_hierarchy_level_1
devicegrouphierarchyl2 device_group_hierarchy_level_2
devicegrouphierarchyl3 device_group_hierarchy_level_3
devicegrouphierarchyl4 device_group_hierarchy_level_4
dghierlevel1 device_group_hierarchy_level_1
dghierlevel2 device_group_hierarchy_level_2
dghierlevel3 device_group_hierarchy_level_3
dghierlevel4 device_group_hierarchy_level_4
dgl1 device_group_hierarchy_level_1
dgl2 device_group_hierarchy_level_2
dgl3 device_group_hierarchy_level_3
dgl4 device_group_hierarchy_level_4
containername pod_name
containernamespace pod_namespace
xffip xff_address
tunnelid tunnel_id_imsi
imsi tunnel_id_imsi
monitortag monitor_tag_imei
imei monitor_tag_imei
linkchange app_flap_count
linkchangecount app_flap_count
http2con http_2_connection
http2connection http_2_connection
ruleid rule_uuid
pcapid pcap_id
packetid pcap_id
categoryofthreatid threat_category
thrcategory threat_category
contentver content_version
srcuseragent user_agent
useragent user_agent
urlidx url_index
urlcounter url_index
reportid report_id
associd sctp_association_id
endpointassociationid sctp_association_id
dynusrgrp dynamic_user_group_name
dynusergroupname dynamic_user_group_name
sourcedevicehost source_hostname
destinationdevicehost destination_hostname
sourcedevicemac source_mac_address
destinationdevicemac destination_mac_address
srchost source_hostname
dsthost destination_hostname
srcmac source_mac_address
dstmac destination_mac_address
appcategory application_category
appsubcategory application_subcategory
subcategoryofapp application_subcategory
technologyofapp application_technology
riskofapp application_risk
characteristicofapp application_characteristic
containerofapp application_container
tunneledapp tunneled_application
issaasofapp application_saas
sanctionedstateofapp application_sanctioned_state
devtime devTime
`

// panKeys is panAliases and all columns as a table, made when the first key is looked up.
var panKeys = sync.OnceValue(func() map[string]panColumn {
	keys := map[string]panColumn{}
	for _, names := range []string{panTrafficColumns, panThreatColumns, panSystemColumns, panConfigColumns, panGlobalProtectColumns,
		panHIPMatchColumns, panUserIDColumns, panDecryptionColumns, panAuthenticationColumns, panIPTagColumns, panTunnelColumns,
		panSCTPColumns, panGTPColumns} {
		for _, name := range strings.Fields(names) {
			if !strings.HasPrefix(name, "future_use") {
				keys[strings.ReplaceAll(name, "_", "")] = panColumn{name, panRoles[name]}
			}
		}
	}
	words := strings.Fields(panAliases)
	for i := 0; i < len(words); i += 2 {
		keys[words[i]] = panColumn{words[i+1], panRoles[words[i+1]]}
	}
	keys["devtime"] = panColumn{"devTime", panDeviceTime}
	return keys
})

// panKey finds the column that a key of CEF, LEEF or JSON or the header text of an
// export means, with or without the prefixes "PanOS" and "Pan".
func panKey(key []byte) (panColumn, bool) {
	var buf [64]byte
	n := 0
	for _, c := range key {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			if n == len(buf) {
				return panColumn{}, false
			}
			buf[n] = c
			n++
		}
	}
	word := buf[:n]
	if c, ok := panKeys()[string(word)]; ok {
		return c, true
	}
	for _, prefix := range [...]string{"panos", "pan"} {
		if n > len(prefix) && string(word[:len(prefix)]) == prefix {
			if c, ok := panKeys()[string(word[len(prefix):])]; ok {
				return c, true
			}
		}
	}
	return panColumn{}, false
}
