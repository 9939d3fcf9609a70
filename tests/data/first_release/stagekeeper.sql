-- A database of the first release, as `.dump` writes it.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE contacts (
	portal BIGINT NOT NULL, 
	contact VARCHAR(40) NOT NULL, 
	stage VARCHAR(80), 
	status VARCHAR(80), 
	since BIGINT NOT NULL, 
	rule VARCHAR(120) NOT NULL, 
	because TEXT NOT NULL, 
	marks JSON NOT NULL, 
	pack_hash VARCHAR(64) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	snapshot JSON NOT NULL, 
	unwritten JSON NOT NULL, 
	decided_at BIGINT NOT NULL, 
	next_look_at BIGINT, 
	gone VARCHAR(40), 
	stage_seen VARCHAR(80), 
	theirs_until BIGINT, 
	PRIMARY KEY (portal, contact)
);
INSERT INTO "contacts" VALUES(4242,'97000000001','lead',NULL,1790000003001,'worth-a-look','There is a sign that they might buy.','{"ask-missing-answer":{"count":1,"last":1790000003001,"seen":null}}','1a8a0c272b96c7428db66b8a9f2d22fafa532986c07bf724dd8bd0bbb20706bb','29500641209e2b07a40be91ae7079782','{"properties":{"email":"ana@example.com","firstname":"Ana","sk_source":"inbound"},"company":{},"deals":null}','{}',1790000003001,NULL,NULL,'lead',NULL);
INSERT INTO "contacts" VALUES(4242,'97000000003','lead',NULL,1790000009005,'worth-a-look','There is a sign that they might buy.','{"ask-missing-answer":{"count":1,"last":1790000009005,"seen":null}}','1a8a0c272b96c7428db66b8a9f2d22fafa532986c07bf724dd8bd0bbb20706bb','29500641209e2b07a40be91ae7079782','{}','{}',1790000009005,NULL,'deleted','lead',NULL);
INSERT INTO "contacts" VALUES(4242,'97000000005','lead',NULL,1790000018011,'worth-a-look','There is a sign that they might buy.','{"ask-missing-answer":{"count":1,"last":1790000018011,"seen":null}}','1a8a0c272b96c7428db66b8a9f2d22fafa532986c07bf724dd8bd0bbb20706bb','29500641209e2b07a40be91ae7079782','{"properties":{"email":"bob@example.com","firstname":"Bob","sk_source":"inbound"},"company":{},"deals":null}','{}',1790000018011,NULL,NULL,'lead',NULL);
CREATE TABLE effects (
	id INTEGER NOT NULL, 
	portal BIGINT NOT NULL, 
	contact VARCHAR(40) NOT NULL, 
	"key" VARCHAR(200) NOT NULL, 
	kind VARCHAR(20) NOT NULL, 
	rule VARCHAR(120) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	body JSON NOT NULL, 
	hubspot_id VARCHAR(40), 
	error TEXT, 
	intended_at BIGINT NOT NULL, 
	settled_at BIGINT, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_effects_portal_key UNIQUE (portal, "key")
);
INSERT INTO "effects" VALUES(1,4242,'97000000001','4242:97000000001:seek-meeting:1790000003001','task','seek-meeting','confirmed','{"title":"Seek a meeting with Ana","notes":"They have become a lead. Write, and propose a time for a first meeting or call.","type":"todo","priority":"medium","due":1790172803001,"owner":"contact_owner","queue":null,"contact_owner":null}','81000000001',NULL,1790000003001,1790000003001);
INSERT INTO "effects" VALUES(2,4242,'97000000001','4242:97000000001:ask-missing-answer:1790000003001','task','ask-missing-answer','confirmed','{"title":"Send Ana the profile form","notes":"Something is still unanswered, and nothing that is known rules them out. Send the form that asks for the profile:\u0007 market, need, and who decides.","type":"email","priority":"medium","due":1790172803001,"owner":"contact_owner","queue":null,"contact_owner":null}','81000000002',NULL,1790000003001,1790000003001);
INSERT INTO "effects" VALUES(3,4242,'97000000003','4242:97000000003:seek-meeting:1790000009005','task','seek-meeting','confirmed','{}','81000000003',NULL,1790000009005,1790000009005);
INSERT INTO "effects" VALUES(4,4242,'97000000003','4242:97000000003:ask-missing-answer:1790000009005','task','ask-missing-answer','confirmed','{}','81000000004',NULL,1790000009005,1790000009005);
INSERT INTO "effects" VALUES(5,4242,'97000000005','4242:97000000005:seek-meeting:1790000018011','task','seek-meeting','intended','{"title":"Seek a meeting with Bob","notes":"They have become a lead. Write, and propose a time for a first meeting or call.","type":"todo","priority":"medium","due":1790172818011,"owner":"contact_owner","queue":null,"contact_owner":null}',NULL,NULL,1790000018011,NULL);
INSERT INTO "effects" VALUES(6,4242,'97000000005','4242:97000000005:ask-missing-answer:1790000018011','task','ask-missing-answer','intended','{"title":"Send Bob the profile form","notes":"Something is still unanswered, and nothing that is known rules them out. Send the form that asks for the profile:\u0007 market, need, and who decides.","type":"email","priority":"medium","due":1790172818011,"owner":"contact_owner","queue":null,"contact_owner":null}',NULL,NULL,1790000018011,NULL);
CREATE TABLE events (
	id INTEGER NOT NULL, 
	portal BIGINT NOT NULL, 
	"key" VARCHAR(64) NOT NULL, 
	type VARCHAR(80) NOT NULL, 
	contact VARCHAR(40), 
	occurred_at BIGINT, 
	received_at BIGINT NOT NULL, 
	due BIGINT, 
	malformed VARCHAR(200), 
	body JSON NOT NULL, 
	placed SMALLINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_events_portal_key UNIQUE (portal, "key")
);
INSERT INTO "events" VALUES(1,4242,'01a0c4506c00AbBN0wjtSmv8Vfwa','contact.propertyChange','97000000001',1790000000000,1790000000000,1790000002000,NULL,'{"eventId":577090037,"subscriptionId":4921039,"portalId":4242,"appId":7001,"occurredAt":1790000000000,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"email","propertyValue":"ana@example.com","objectId":97000000001}',1);
INSERT INTO "events" VALUES(2,4242,'01a0c4506c00DjTfTFKtjhLF5emE','contact.creation','97000000001',1790000000000,1790000000000,1790000002000,NULL,'{"eventId":3445702192,"subscriptionId":5371458,"portalId":4242,"appId":7001,"occurredAt":1790000000000,"subscriptionType":"contact.creation","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","changeFlag":"CREATED","objectId":97000000001}',1);
INSERT INTO "events" VALUES(3,4242,'01a0c4506c00RrTlxZkEKbjGCQVd','contact.propertyChange','97000000001',1790000000000,1790000000000,1790000002000,NULL,'{"eventId":2444712010,"subscriptionId":9113464,"portalId":4242,"appId":7001,"occurredAt":1790000000000,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"firstname","propertyValue":"Ana","objectId":97000000001}',1);
INSERT INTO "events" VALUES(4,4242,'01a0c4506c00dCkqeJ9UvL5aHM6n','contact.propertyChange','97000000001',1790000000000,1790000000000,1790000002000,NULL,'{"eventId":3639700191,"subscriptionId":3421005,"portalId":4242,"appId":7001,"occurredAt":1790000000000,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"sk_source","propertyValue":"inbound","objectId":97000000001}',1);
INSERT INTO "events" VALUES(5,4242,'01a0c45077b9BWGdNs9yzPzSAGW4','contact.propertyChange','97000000001',1790000003001,1790000003002,NULL,NULL,'{"eventId":506456969,"subscriptionId":4880914,"portalId":4242,"appId":7001,"occurredAt":1790000003001,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"INTEGRATION","sourceId":"7001","propertyName":"sk_decided_at","propertyValue":"1790000003001","objectId":97000000001}',1);
INSERT INTO "events" VALUES(6,4242,'01a0c45077b9Fa50we6vORjD8h22','contact.propertyChange','97000000001',1790000003001,1790000003002,NULL,NULL,'{"eventId":271041745,"subscriptionId":1313867,"portalId":4242,"appId":7001,"occurredAt":1790000003001,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"INTEGRATION","sourceId":"7001","propertyName":"sk_rule","propertyValue":"worth-a-look","objectId":97000000001}',1);
INSERT INTO "events" VALUES(7,4242,'01a0c45077b9M6xQLI8ItT8YJu6m','contact.propertyChange','97000000001',1790000003001,1790000003002,NULL,NULL,'{"eventId":1095513148,"subscriptionId":9845475,"portalId":4242,"appId":7001,"occurredAt":1790000003001,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"INTEGRATION","sourceId":"7001","propertyName":"lifecyclestage","propertyValue":"lead","objectId":97000000001}',1);
INSERT INTO "events" VALUES(8,4242,'01a0c45077b9VlSy37k2+pwG6WYC','contact.propertyChange','97000000001',1790000003001,1790000003002,NULL,NULL,'{"eventId":3280387012,"subscriptionId":6807410,"portalId":4242,"appId":7001,"occurredAt":1790000003001,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"INTEGRATION","sourceId":"7001","propertyName":"sk_reason","propertyValue":"There is a sign that they might buy.","objectId":97000000001}',1);
INSERT INTO "events" VALUES(9,4242,'01a0c45077ba5kGzRARC/6KVpwwm','contact.propertyChange','97000000002',1790000003002,1790000003002,1790000005002,NULL,'{"eventId":2127877499,"subscriptionId":4921039,"portalId":4242,"appId":7001,"occurredAt":1790000003002,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"email","propertyValue":"carl@example.com","objectId":97000000002}',1);
INSERT INTO "events" VALUES(10,4242,'01a0c45077bahL39XtLXsGatyGaD','contact.propertyChange','97000000002',1790000003002,1790000003002,1790000005002,NULL,'{"eventId":3268308804,"subscriptionId":9113464,"portalId":4242,"appId":7001,"occurredAt":1790000003002,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"firstname","propertyValue":"Carl","objectId":97000000002}',1);
INSERT INTO "events" VALUES(11,4242,'01a0c45077bamEA276Qw+6cx7ZG9','contact.creation','97000000002',1790000003002,1790000003002,1790000005002,NULL,'{"eventId":1930549411,"subscriptionId":5371458,"portalId":4242,"appId":7001,"occurredAt":1790000003002,"subscriptionType":"contact.creation","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","changeFlag":"CREATED","objectId":97000000002}',1);
INSERT INTO "events" VALUES(12,4242,'01a0c4508374R9jqJvBddbpbVkZA','contact.creation','97000000003',1790000006004,1790000006004,1790000008004,NULL,'{"eventId":3387541014,"subscriptionId":5371458,"portalId":4242,"appId":7001,"occurredAt":1790000006004,"subscriptionType":"contact.creation","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","changeFlag":"CREATED","objectId":97000000003}',1);
INSERT INTO "events" VALUES(13,4242,'01a0c4508374aGK/GtBroKgB1HHI','contact.propertyChange','97000000003',1790000006004,1790000006004,1790000008004,NULL,'{"eventId":2028277857,"subscriptionId":4921039,"portalId":4242,"appId":7001,"occurredAt":1790000006004,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"email","propertyValue":"dora@example.com","objectId":97000000003}',1);
INSERT INTO "events" VALUES(14,4242,'01a0c4508374yBP+LqsMethB1ibK','contact.propertyChange','97000000003',1790000006004,1790000006004,1790000008004,NULL,'{"eventId":1630434966,"subscriptionId":3421005,"portalId":4242,"appId":7001,"occurredAt":1790000006004,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"sk_source","propertyValue":"inbound","objectId":97000000003}',1);
INSERT INTO "events" VALUES(15,4242,'01a0c4508374yVg8vRqojZFMT5Av','contact.propertyChange','97000000003',1790000006004,1790000006004,1790000008004,NULL,'{"eventId":2798570523,"subscriptionId":9113464,"portalId":4242,"appId":7001,"occurredAt":1790000006004,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"firstname","propertyValue":"Dora","objectId":97000000003}',1);
INSERT INTO "events" VALUES(16,4242,'01a0c4508f2dQLrGaZuZMigs+kQu','contact.propertyChange','97000000003',1790000009005,1790000009006,NULL,NULL,'{"eventId":2095328386,"subscriptionId":9845475,"portalId":4242,"appId":7001,"occurredAt":1790000009005,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"INTEGRATION","sourceId":"7001","propertyName":"lifecyclestage","propertyValue":"lead","objectId":97000000003}',1);
INSERT INTO "events" VALUES(17,4242,'01a0c4508f2dU4nmgoiGlCMwHDHN','contact.propertyChange','97000000003',1790000009005,1790000009006,NULL,NULL,'{"eventId":901749037,"subscriptionId":6807410,"portalId":4242,"appId":7001,"occurredAt":1790000009005,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"INTEGRATION","sourceId":"7001","propertyName":"sk_reason","propertyValue":"There is a sign that they might buy.","objectId":97000000003}',1);
INSERT INTO "events" VALUES(18,4242,'01a0c4508f2djpS5zjtZ05BBky7D','contact.propertyChange','97000000003',1790000009005,1790000009006,NULL,NULL,'{"eventId":403123852,"subscriptionId":1313867,"portalId":4242,"appId":7001,"occurredAt":1790000009005,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"INTEGRATION","sourceId":"7001","propertyName":"sk_rule","propertyValue":"worth-a-look","objectId":97000000003}',1);
INSERT INTO "events" VALUES(19,4242,'01a0c4508f2dqFIlHoF46FV8fmdr','contact.propertyChange','97000000003',1790000009005,1790000009006,NULL,NULL,'{"eventId":121751464,"subscriptionId":4880914,"portalId":4242,"appId":7001,"occurredAt":1790000009005,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"INTEGRATION","sourceId":"7001","propertyName":"sk_decided_at","propertyValue":"1790000009005","objectId":97000000003}',1);
INSERT INTO "events" VALUES(20,4242,'01a0c4508f2e1K0zYq4xz1SjPsvH','contact.deletion','97000000003',1790000009006,1790000009006,1790000011006,NULL,'{"eventId":3836767462,"subscriptionId":3245564,"portalId":4242,"appId":7001,"occurredAt":1790000009006,"subscriptionType":"contact.deletion","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","changeFlag":"DELETED","objectId":97000000003}',1);
INSERT INTO "events" VALUES(21,4242,'01a0c450a6a162Q8ow373huyR17c','contact.propertyChange','97000000004',1790000015009,1790000015010,NULL,NULL,'{"eventId":3273968005,"subscriptionId":6807410,"portalId":4242,"appId":7001,"occurredAt":1790000015009,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"INTEGRATION","sourceId":"7001","propertyName":"sk_reason","propertyValue":"There is a sign that they might buy.","objectId":97000000004}',1);
INSERT INTO "events" VALUES(22,4242,'01a0c450a6a19qhKTB64fW5JhGr5','contact.propertyChange','97000000004',1790000015009,1790000015010,NULL,NULL,'{"eventId":3294916953,"subscriptionId":1313867,"portalId":4242,"appId":7001,"occurredAt":1790000015009,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"INTEGRATION","sourceId":"7001","propertyName":"sk_rule","propertyValue":"worth-a-look","objectId":97000000004}',1);
INSERT INTO "events" VALUES(23,4242,'01a0c450a6a1Tb3Yx2AnDHuH2tko','contact.propertyChange','97000000004',1790000015009,1790000015010,NULL,NULL,'{"eventId":9045414,"subscriptionId":9845475,"portalId":4242,"appId":7001,"occurredAt":1790000015009,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"INTEGRATION","sourceId":"7001","propertyName":"lifecyclestage","propertyValue":"lead","objectId":97000000004}',1);
INSERT INTO "events" VALUES(24,4242,'01a0c450a6a1iScCiAUq/T8qW21z','contact.propertyChange','97000000004',1790000015009,1790000015010,NULL,NULL,'{"eventId":2988579416,"subscriptionId":4880914,"portalId":4242,"appId":7001,"occurredAt":1790000015009,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"INTEGRATION","sourceId":"7001","propertyName":"sk_decided_at","propertyValue":"1790000015009","objectId":97000000004}',1);
INSERT INTO "events" VALUES(25,4242,'01a0c450a6a2B7RRVmRQb1VN9qhb','contact.propertyChange','97000000005',1790000015010,1790000015010,1790000017010,NULL,'{"eventId":1143881027,"subscriptionId":9113464,"portalId":4242,"appId":7001,"occurredAt":1790000015010,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"firstname","propertyValue":"Bob","objectId":97000000005}',1);
INSERT INTO "events" VALUES(26,4242,'01a0c450a6a2Eh5jGHOP+STfyeem','contact.creation','97000000005',1790000015010,1790000015010,1790000017010,NULL,'{"eventId":3443818037,"subscriptionId":5371458,"portalId":4242,"appId":7001,"occurredAt":1790000015010,"subscriptionType":"contact.creation","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","changeFlag":"CREATED","objectId":97000000005}',1);
INSERT INTO "events" VALUES(27,4242,'01a0c450a6a2jP6pfX8+y6oO1Ao8','contact.propertyChange','97000000005',1790000015010,1790000015010,1790000017010,NULL,'{"eventId":1912923437,"subscriptionId":4921039,"portalId":4242,"appId":7001,"occurredAt":1790000015010,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"email","propertyValue":"bob@example.com","objectId":97000000005}',1);
INSERT INTO "events" VALUES(28,4242,'01a0c450a6a2wIyEu1Zu53QFlz1a','contact.propertyChange','97000000005',1790000015010,1790000015010,1790000017010,NULL,'{"eventId":3098990846,"subscriptionId":3421005,"portalId":4242,"appId":7001,"occurredAt":1790000015010,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"sk_source","propertyValue":"inbound","objectId":97000000005}',1);
INSERT INTO "events" VALUES(29,4242,'01a0c450b25b836W4kd3m/ra6Obr','contact.propertyChange','97000000005',1790000018011,1790000018012,NULL,NULL,'{"eventId":982526257,"subscriptionId":6807410,"portalId":4242,"appId":7001,"occurredAt":1790000018011,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"INTEGRATION","sourceId":"7001","propertyName":"sk_reason","propertyValue":"There is a sign that they might buy.","objectId":97000000005}',1);
INSERT INTO "events" VALUES(30,4242,'01a0c450b25bKsEGdKcXnh2a+V0t','contact.propertyChange','97000000005',1790000018011,1790000018012,NULL,NULL,'{"eventId":4059906722,"subscriptionId":9845475,"portalId":4242,"appId":7001,"occurredAt":1790000018011,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"INTEGRATION","sourceId":"7001","propertyName":"lifecyclestage","propertyValue":"lead","objectId":97000000005}',1);
INSERT INTO "events" VALUES(31,4242,'01a0c450b25bgcYyxXq95usQdbcX','contact.propertyChange','97000000005',1790000018011,1790000018012,NULL,NULL,'{"eventId":439062303,"subscriptionId":4880914,"portalId":4242,"appId":7001,"occurredAt":1790000018011,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"INTEGRATION","sourceId":"7001","propertyName":"sk_decided_at","propertyValue":"1790000018011","objectId":97000000005}',1);
INSERT INTO "events" VALUES(32,4242,'01a0c450b25blShuNBhJ6v9Catsm','contact.propertyChange','97000000005',1790000018011,1790000018012,NULL,NULL,'{"eventId":2538984641,"subscriptionId":1313867,"portalId":4242,"appId":7001,"occurredAt":1790000018011,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"INTEGRATION","sourceId":"7001","propertyName":"sk_rule","propertyValue":"worth-a-look","objectId":97000000005}',1);
INSERT INTO "events" VALUES(33,4242,'01a0c450b25c4FFIGDLm2svhZO42','contact.propertyChange','97000000006',1790000018012,1790000018012,1790000020012,NULL,'{"eventId":95872739,"subscriptionId":2080820,"portalId":4242,"appId":7001,"occurredAt":1790000018012,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"sk_authority","propertyValue":"yes","objectId":97000000006}',1);
INSERT INTO "events" VALUES(34,4242,'01a0c450b25c4IwI5V0woiZyxddz','contact.propertyChange','97000000006',1790000018012,1790000018012,1790000020012,NULL,'{"eventId":131383004,"subscriptionId":5493959,"portalId":4242,"appId":7001,"occurredAt":1790000018012,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"sk_target_market","propertyValue":"yes","objectId":97000000006}',1);
INSERT INTO "events" VALUES(35,4242,'01a0c450b25cGbcUKvdKgMp8WdU6','contact.propertyChange','97000000006',1790000018012,1790000018012,1790000020012,NULL,'{"eventId":109289145,"subscriptionId":3060867,"portalId":4242,"appId":7001,"occurredAt":1790000018012,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"sk_need","propertyValue":"definite","objectId":97000000006}',1);
INSERT INTO "events" VALUES(36,4242,'01a0c450b25cOuAau53CGRYbd7Rf','contact.propertyChange','97000000006',1790000018012,1790000018012,1790000020012,NULL,'{"eventId":1363349907,"subscriptionId":9113464,"portalId":4242,"appId":7001,"occurredAt":1790000018012,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"firstname","propertyValue":"Finn","objectId":97000000006}',1);
INSERT INTO "events" VALUES(37,4242,'01a0c450b25cPijrp75Ma+j1xjSg','contact.creation','97000000006',1790000018012,1790000018012,1790000020012,NULL,'{"eventId":2325348894,"subscriptionId":5371458,"portalId":4242,"appId":7001,"occurredAt":1790000018012,"subscriptionType":"contact.creation","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","changeFlag":"CREATED","objectId":97000000006}',1);
INSERT INTO "events" VALUES(38,4242,'01a0c450b25cc2APT0a/TagBc/FO','contact.propertyChange','97000000006',1790000018012,1790000018012,1790000020012,NULL,'{"eventId":2789779421,"subscriptionId":3089263,"portalId":4242,"appId":7001,"occurredAt":1790000018012,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"sk_intent","propertyValue":"wants_to_buy","objectId":97000000006}',1);
INSERT INTO "events" VALUES(39,4242,'01a0c450b25ckkIfTbc7xdXBTiyR','contact.propertyChange','97000000006',1790000018012,1790000018012,1790000020012,NULL,'{"eventId":3871601465,"subscriptionId":4921039,"portalId":4242,"appId":7001,"occurredAt":1790000018012,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"email","propertyValue":"finn@example.com","objectId":97000000006}',1);
INSERT INTO "events" VALUES(40,4242,'01a0c450b25c+z6VFKtNMExTw6Yy','contact.creation','97000000007',1790000018012,1790000018012,1790000020012,NULL,'{"eventId":1637259727,"subscriptionId":5371458,"portalId":4242,"appId":7001,"occurredAt":1790000018012,"subscriptionType":"contact.creation","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","changeFlag":"CREATED","objectId":97000000007}',0);
INSERT INTO "events" VALUES(41,4242,'01a0c450b25c8GGxsN692KLavuJ8','contact.propertyChange','97000000007',1790000018012,1790000018012,1790000020012,NULL,'{"eventId":3784870617,"subscriptionId":3421005,"portalId":4242,"appId":7001,"occurredAt":1790000018012,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"sk_source","propertyValue":"inbound","objectId":97000000007}',0);
INSERT INTO "events" VALUES(42,4242,'01a0c450b25cO89q8wuzGPS1sEKS','contact.propertyChange','97000000007',1790000018012,1790000018012,1790000020012,NULL,'{"eventId":4033614922,"subscriptionId":9113464,"portalId":4242,"appId":7001,"occurredAt":1790000018012,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"firstname","propertyValue":"Gina","objectId":97000000007}',0);
INSERT INTO "events" VALUES(43,4242,'01a0c450b25cgWayWGYTZ7AyI4il','contact.propertyChange','97000000007',1790000018012,1790000018012,1790000020012,NULL,'{"eventId":39534911,"subscriptionId":4921039,"portalId":4242,"appId":7001,"occurredAt":1790000018012,"subscriptionType":"contact.propertyChange","attemptNumber":0,"changeSource":"CRM_UI","sourceId":"userId:1","propertyName":"email","propertyValue":"gina@example.com","objectId":97000000007}',0);
CREATE TABLE portals (
	portal BIGINT NOT NULL, 
	served_at BIGINT NOT NULL, 
	trouble VARCHAR(80), 
	trouble_text TEXT, 
	trouble_since BIGINT, 
	trouble_until BIGINT NOT NULL, 
	blocked_until BIGINT NOT NULL, 
	calls JSON NOT NULL, 
	searches JSON NOT NULL, 
	day VARCHAR(10) NOT NULL, 
	calls_today BIGINT NOT NULL, 
	watermark BIGINT, 
	PRIMARY KEY (portal)
);
INSERT INTO "portals" VALUES(4242,1790000018011,NULL,NULL,NULL,0,0,'[[1790000009050,3],[1790000012050,2],[1790000015050,3],[1790000018050,3]]','[]','2026-09-21',1,NULL);
INSERT INTO "portals" VALUES(4343,0,'unauthorised','HubSpot portal 4343: unauthorised (401)',1790000018012,1790000318012,0,'[]','[]','',0,NULL);
CREATE TABLE receipts (
	id INTEGER NOT NULL, 
	portal BIGINT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	reason VARCHAR(20) NOT NULL, 
	erased_at BIGINT NOT NULL, 
	counts JSON NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "receipts" VALUES(1,4242,'8e1c533b4a20dbc62e11d52262138ecbf309cba42214c9ecef15a3da240e784f','asked',1790000015010,'{"events":4,"waiting":0,"contacts":1,"records":1,"effects":2}');
CREATE TABLE records (
	id INTEGER NOT NULL, 
	portal BIGINT NOT NULL, 
	contact VARCHAR(40) NOT NULL, 
	claim VARCHAR(40) NOT NULL, 
	decided_at BIGINT NOT NULL, 
	pack VARCHAR(120) NOT NULL, 
	pack_hash VARCHAR(64) NOT NULL, 
	stage_before VARCHAR(80), 
	stage VARCHAR(80), 
	status VARCHAR(80), 
	rule VARCHAR(120) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	read JSON NOT NULL, 
	decided JSON NOT NULL, 
	planned JSON NOT NULL, 
	done JSON, 
	PRIMARY KEY (id)
);
INSERT INTO "records" VALUES(1,4242,'97000000001','fa8f4e32edd74f2898a063f692f0fb7e',1790000003001,'default','1a8a0c272b96c7428db66b8a9f2d22fafa532986c07bf724dd8bd0bbb20706bb',NULL,'lead',NULL,'worth-a-look','29500641209e2b07a40be91ae7079782','{"properties":{"sk_source":"inbound"},"company":{},"deals":null}','{"because":"There is a sign that they might buy.","facts":{"asked_to_be_forgotten":"unknown","customer":"no","business_relation":"unknown","fits_market":"unknown","has_authority":"unknown","enquired":"yes","interested":"unknown","wants_to_buy":"unknown","unwilling":"unknown","responded_positively":"unknown","meeting_agreed":"unknown","committed":"unknown","approached":"no","blocked_now":"no","money_comes_later":"no","ready_soon":"unknown","ready_not_so_soon":"unknown","ready_much_later":"unknown","step_filled_in":"no","moved_by_customer":"no","leaps_ahead":"no","no_meeting_yet":"yes","lead_signal":"yes","real_interest":"unknown","something_against":"no","skipped_by_seller":"no","qualified":"unknown","recorded_step_counts":"no","at_proposal":"no","at_presentation":"no","at_final_review":"no","at_close":"no","at_discovery_meeting":"yes"},"set":{"sk_prospect_status":"","sk_lead_status":""},"tasks":["seek-meeting","ask-missing-answer"],"actions":[],"next_look_at":null}','{"properties":{"sk_reason":["","There is a sign that they might buy."],"sk_rule":["","worth-a-look"],"lifecyclestage":["","lead"],"sk_decided_at":["","2026-09-21T14:13:23.001Z"]},"effects":[{"key":"4242:97000000001:seek-meeting:1790000003001","kind":"task","rule":"seek-meeting"},{"key":"4242:97000000001:ask-missing-answer:1790000003001","kind":"task","rule":"ask-missing-answer"}],"held":null}','{"written":["lifecyclestage","sk_decided_at","sk_reason","sk_rule"],"effects":{"4242:97000000001:ask-missing-answer:1790000003001":"81000000002","4242:97000000001:seek-meeting:1790000003001":"81000000001"},"held":null,"error":null}');
INSERT INTO "records" VALUES(2,4242,'97000000003','c790fd98382a40d7968553dbd0715949',1790000009005,'default','1a8a0c272b96c7428db66b8a9f2d22fafa532986c07bf724dd8bd0bbb20706bb',NULL,'lead',NULL,'worth-a-look','29500641209e2b07a40be91ae7079782','{}','{"because":"There is a sign that they might buy.","facts":{"asked_to_be_forgotten":"unknown","customer":"no","business_relation":"unknown","fits_market":"unknown","has_authority":"unknown","enquired":"yes","interested":"unknown","wants_to_buy":"unknown","unwilling":"unknown","responded_positively":"unknown","meeting_agreed":"unknown","committed":"unknown","approached":"no","blocked_now":"no","money_comes_later":"no","ready_soon":"unknown","ready_not_so_soon":"unknown","ready_much_later":"unknown","step_filled_in":"no","moved_by_customer":"no","leaps_ahead":"no","no_meeting_yet":"yes","lead_signal":"yes","real_interest":"unknown","something_against":"no","skipped_by_seller":"no","qualified":"unknown","recorded_step_counts":"no","at_proposal":"no","at_presentation":"no","at_final_review":"no","at_close":"no","at_discovery_meeting":"yes"},"set":{"sk_prospect_status":"","sk_lead_status":""},"tasks":["seek-meeting","ask-missing-answer"],"actions":[],"next_look_at":null}','{"properties":{"sk_reason":["","There is a sign that they might buy."],"sk_rule":["","worth-a-look"],"lifecyclestage":["","lead"],"sk_decided_at":["","2026-09-21T14:13:29.005Z"]},"effects":[{"key":"4242:97000000003:seek-meeting:1790000009005","kind":"task","rule":"seek-meeting"},{"key":"4242:97000000003:ask-missing-answer:1790000009005","kind":"task","rule":"ask-missing-answer"}],"held":null}','{"written":["lifecyclestage","sk_decided_at","sk_reason","sk_rule"],"effects":{"4242:97000000003:ask-missing-answer:1790000009005":"81000000004","4242:97000000003:seek-meeting:1790000009005":"81000000003"},"held":null,"error":null}');
INSERT INTO "records" VALUES(3,4242,'97000000003','b338a1ee202e46cfb7f2ccf8cf251695',1790000012007,'default','1a8a0c272b96c7428db66b8a9f2d22fafa532986c07bf724dd8bd0bbb20706bb',NULL,NULL,NULL,'gone','','{}','{"gone":"deleted"}','{}','{}');
INSERT INTO "records" VALUES(4,4242,'97000000005','befa1a68d0d44c5fb6c55dc83311569a',1790000018011,'default','1a8a0c272b96c7428db66b8a9f2d22fafa532986c07bf724dd8bd0bbb20706bb',NULL,'lead',NULL,'worth-a-look','29500641209e2b07a40be91ae7079782','{"properties":{"sk_source":"inbound"},"company":{},"deals":null}','{"because":"There is a sign that they might buy.","facts":{"asked_to_be_forgotten":"unknown","customer":"no","business_relation":"unknown","fits_market":"unknown","has_authority":"unknown","enquired":"yes","interested":"unknown","wants_to_buy":"unknown","unwilling":"unknown","responded_positively":"unknown","meeting_agreed":"unknown","committed":"unknown","approached":"no","blocked_now":"no","money_comes_later":"no","ready_soon":"unknown","ready_not_so_soon":"unknown","ready_much_later":"unknown","step_filled_in":"no","moved_by_customer":"no","leaps_ahead":"no","no_meeting_yet":"yes","lead_signal":"yes","real_interest":"unknown","something_against":"no","skipped_by_seller":"no","qualified":"unknown","recorded_step_counts":"no","at_proposal":"no","at_presentation":"no","at_final_review":"no","at_close":"no","at_discovery_meeting":"yes"},"set":{"sk_prospect_status":"","sk_lead_status":""},"tasks":["seek-meeting","ask-missing-answer"],"actions":[],"next_look_at":null}','{"properties":{"sk_reason":["","There is a sign that they might buy."],"sk_rule":["","worth-a-look"],"lifecyclestage":["","lead"],"sk_decided_at":["","2026-09-21T14:13:38.011Z"]},"effects":[{"key":"4242:97000000005:seek-meeting:1790000018011","kind":"task","rule":"seek-meeting"},{"key":"4242:97000000005:ask-missing-answer:1790000018011","kind":"task","rule":"ask-missing-answer"}],"held":null}','{"written":["lifecyclestage","sk_decided_at","sk_reason","sk_rule"],"effects":{},"held":null,"error":"unclear: HubSpot may have created it; the next attempt looks it up by its marker"}');
CREATE TABLE waiting (
	portal BIGINT NOT NULL, 
	contact VARCHAR(40) NOT NULL, 
	due BIGINT NOT NULL, 
	since BIGINT NOT NULL, 
	generation BIGINT NOT NULL, 
	claim VARCHAR(40), 
	claimed_until BIGINT, 
	attempts INTEGER NOT NULL, 
	last_error TEXT, 
	dead_at BIGINT, 
	PRIMARY KEY (portal, contact)
);
INSERT INTO "waiting" VALUES(4242,'97000000002',1790000006003,1790000003002,1,NULL,NULL,1,'invalid (400 VALIDATION_ERROR): Invalid input',1790000006003);
INSERT INTO "waiting" VALUES(4242,'97000000005',1790000023202,1790000015010,1,NULL,NULL,1,'unclear: HubSpot may have created it; the next attempt looks it up by its marker',NULL);
INSERT INTO "waiting" VALUES(4242,'97000000006',1790000020012,1790000018012,1,NULL,NULL,0,NULL,NULL);
CREATE INDEX ix_contacts_decided_at ON contacts (decided_at);
CREATE INDEX ix_contacts_portal_stage_status ON contacts (portal, stage, status);
CREATE INDEX ix_effects_portal_contact_state ON effects (portal, contact, state);
CREATE INDEX ix_effects_portal_rule ON effects (portal, rule);
CREATE INDEX ix_events_portal_contact ON events (portal, contact) WHERE placed = 1;
CREATE INDEX ix_events_received_at ON events (received_at) WHERE placed = 1;
CREATE INDEX ix_events_unplaced ON events (placed, id) WHERE placed = 0;
CREATE INDEX ix_receipts_portal_digest ON receipts (portal, digest);
CREATE INDEX ix_records_decided_at ON records (decided_at);
CREATE INDEX ix_records_portal_contact_id ON records (portal, contact, id);
CREATE INDEX ix_waiting_claim ON waiting (claim) WHERE claim IS NOT NULL;
CREATE INDEX ix_waiting_portal_dead_at_due ON waiting (portal, dead_at, due);
COMMIT;
