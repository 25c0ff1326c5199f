import time, uuid
from datetime import timedelta
import pytest
from django.utils import timezone
from django.urls import reverse
from tests.factories import *
from licenses.models import *
from portal.models import *
from subscriptions.models import *

def test_speed(operator_client, signing_key):
    N=100_000; now=timezone.now()
    base=make_license(); key=base.keys.first()
    plan=base.plan
    ts=[Tenant(name=f"T{i}",country="USA") for i in range(N)]; Tenant.objects.bulk_create(ts,batch_size=5000)
    us=[User(email=f"u{i}@x.example",name=f"U{i}",password="!") for i in range(N)]; User.objects.bulk_create(us,batch_size=5000)
    Member.objects.bulk_create([Member(tenant=t,user=u,role="owner") for t,u in zip(ts,us)],batch_size=5000)
    ss=[Subscription(tenant=t,plan=plan,name=f"S{i}",state="active",activated_at=now,beneficiary_tenant_id=t.pk,created_at=now-timedelta(seconds=i)) for i,t in enumerate(ts)]
    Subscription.objects.bulk_create(ss,batch_size=5000)
    ls=[License(tenant=s.tenant,subscription=s,plan=plan,usage="org",holder_name=f"H{i}",country="USA",issuer="x",tenant_audience="x",authorized_party="x",plan_urn="x",days=31,created_by_name="x") for i,s in enumerate(ss)]
    License.objects.bulk_create(ls,batch_size=5000)
    ks=[LicenseKey(tenant=l.tenant,license=l,signing_key=signing_key,slot="primary",jti=uuid.uuid4(),token=key.token,token_sha256="a"*64,issued_at=now,expires_at=now+timedelta(days=31),status_list=key.status_list,status_index=1000000+i,created_by_name="x") for i,l in enumerate(ls)]
    LicenseKey.objects.bulk_create(ks,batch_size=5000)
    LogEntry.objects.bulk_create([LogEntry(tenant_id=t.pk,seq=1,at=now,actor_kind="system",actor_name="x",action="record.added",previous="",hash="") for t in ts],batch_size=5000)
    CheckCount.objects.bulk_create([CheckCount(tenant=k.tenant,license_key=k,hour=now-timedelta(hours=i%1000),result="valid",count=1,last_at=now) for i,k in enumerate(ks)],batch_size=5000)
    for m in [Tenant,User,Member,Subscription,License,LicenseKey,LogEntry,CheckCount]:
        url=reverse(f"admin:{m._meta.app_label}_{m._meta.model_name}_changelist")
        operator_client.get(url)
        for q in [{}, {"p":"1500"}, {"q":"H777"}, {"q":str(ks[5].jti)}, {"effective_state":"active"} if m is Subscription else {}]:
            t=time.perf_counter(); r=operator_client.get(url,q); assert r.status_code==200
            print(f"{m.__name__:14} {str(q)[:50]:52} {1000*(time.perf_counter()-t):.0f} ms")
