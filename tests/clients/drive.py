"""Calls every method of the published Python client once, unmodified, against a live host, and prints a line of JSON for each.

SCENE (JSON) says where everything is; see tests/host/clients.rs. The argument is `sync` or `async`.
"""

import asyncio
import inspect
import json
import os
import sys

from wasenderapi import create_async_wasender, create_sync_wasender
from wasenderapi.groups import UpdateGroupSettingsPayload
from wasenderapi.models import ImageUrlMessage, TextOnlyMessage
from wasenderapi.sessions import CreateWhatsAppSessionPayload, UpdateWhatsAppSessionPayload

scene = json.loads(os.environ["SCENE"])
customer = scene["customer"]
driven = set()
failed = 0


def file(name):
    return scene["files"] + name


async def call(client, name, *args, **more):
    global failed
    driven.add(name)
    try:
        result = getattr(client, name)(*args, **more)
        if inspect.isawaitable(result):
            result = await result
        print(json.dumps({"call": name, "ok": True}))
        return result
    except Exception as error:  # Whatever it is, the table tells it.
        failed += 1
        print(json.dumps({"call": name, "ok": False, "error": f"{type(error).__name__}: {error}"[:600]}))
        return None


def dig(result, attribute, key):
    """What an answer has in its data, which some methods give as a model and others as a dictionary."""
    data = getattr(result.response, "data", None) or result.response["data"]
    return data[key] if isinstance(data, dict) else getattr(data, attribute)


async def gone(client, number):
    """Waits until WhatsApp has a message: whoever leaves a group before that does not get it."""
    for _ in range(100):
        info = client.get_message_info(number)
        info = await info if inspect.isawaitable(info) else info
        if int(dig(info, "status", "status")) >= 2:
            return
        await asyncio.sleep(0.1)


async def messages(client, me):
    say = lambda what: f"{me} {what}"
    await call(client, "send", TextOnlyMessage(to=customer, text=say("send"), messageType="text"))
    await call(client, "send", ImageUrlMessage(to=customer, imageUrl=file("photo.png"), messageType="image"))
    sent = await call(client, "send_text", customer, say("send_text"))
    number = dig(sent, "message_id", "msgId")
    await call(client, "send_image", customer, file("photo.png"), say("send_image"))
    await call(client, "send_video", customer, file("film.mp4"), say("send_video"))
    await call(client, "send_document", customer, file("invoice.pdf"), "python.pdf", say("send_document"))
    await call(client, "send_audio", customer, file("sound.ogg"))
    await call(client, "send_sticker", customer, file("sticker.webp"))
    await call(client, "send_contact", customer, say("contact"), "+491520000009")
    await call(client, "send_location", customer, 1.5, 2.5, say("place"), "a")
    await call(client, "send_poll", customer, say("poll"), ["a", "b"], True)
    await call(client, "send_quoted_message", customer, number, text=say("quote"))
    await call(client, "get_message_info", number)
    await call(client, "edit_message", number, say("edited"))
    doomed = await call(client, "send_text", customer, say("doomed"))
    await call(client, "delete_message", dig(doomed, "message_id", "msgId"))
    await call(client, "send_presence_update", f"{customer}@s.whatsapp.net", "composing", 100)


async def people(client, me):
    await call(client, "check_if_on_whatsapp", f"+{customer}")
    await call(client, "get_contacts")
    for name in ["get_contact_info", "get_contact_profile_picture", "block_contact", "unblock_contact"]:
        await call(client, name, f"+{customer}")
    made = await call(client, "create_group", f"{me} group", [customer])
    group = dig(made, "id", "id")
    await call(client, "get_groups")
    for name in ["get_group_metadata", "get_group_participants", "get_group_invite_link", "get_group_profile_picture"]:
        await call(client, name, group)
    mention = await call(client, "send_message_with_mentions", group, f"{me} mention", [f"{customer}@s.whatsapp.net"])
    await gone(client, dig(mention, "message_id", "msgId"))
    await call(client, "update_group_participants", group, "promote", [customer])
    await call(client, "remove_group_participants", group, [customer])
    await call(client, "add_group_participants", group, [customer])
    await call(client, "update_group_settings", group, UpdateGroupSettingsPayload(subject=f"{me} renamed", announce=True))
    await call(client, "get_group_invite_info", scene["invite"])
    await call(client, "accept_group_invite", scene["invite"])
    await call(client, "leave_group", group)


async def sessions(client, me):
    await call(client, "get_all_whatsapp_sessions")
    wish = CreateWhatsAppSessionPayload(
        name=f"{me} session", phone_number="+491510000009", account_protection=True, log_messages=True
    )
    made = await call(client, "create_whatsapp_session", wish)
    session = dig(made, "id", "id")
    await call(client, "get_whatsapp_session_details", session)
    await call(client, "update_whatsapp_session", session, UpdateWhatsAppSessionPayload(name=f"{me} renamed"))
    await call(client, "connect_whatsapp_session", session, True)
    await call(client, "connect_whatsapp_session", session)
    await call(client, "get_whatsapp_session_qr_code", session)
    await call(client, "disconnect_whatsapp_session", session)
    await call(client, "regenerate_api_key", session)
    await call(client, "delete_whatsapp_session", session)
    await call(client, "get_session_status", str(scene["session"]))
    await call(client, "get_session_user_info")


async def hooks(client):
    """What the host delivered, as it came: the client must know the signature and the shape of each."""
    global failed
    for hook in scene["hooks"]:
        read = await call(client, "handle_webhook_event", hook["body"].encode(), hook["signature"])
        name = json.loads(hook["body"])["event"]
        if type(read).__name__ == "UnknownWebhookEvent":
            failed += 1
            print(json.dumps({"call": f"handle_webhook_event of {name}", "ok": False}))


async def main():
    me = sys.argv[1]
    make = create_sync_wasender if me == "sync" else create_async_wasender
    secret = scene["hooks"][0]["signature"]
    client = make(scene["session_key"], scene["base"], personal_access_token=scene["personal_token"], webhook_secret=secret)
    await messages(client, me)
    await people(client, me)
    await call(client, "upload_media_file", base64_data=scene["picture"], mimetype_hint="image/png")
    await call(client, "upload_media_file", file_bytes=b"a text", filename="a.txt")
    await call(client, "decrypt_media_file", {"data": scene["sealed"]})
    await sessions(client, me)
    await hooks(client)
    # The asynchronous client is also a context, which is closed in the end.
    methods = {name for name in dir(client) if not name.startswith("_") and callable(getattr(client, name))} - {"close", "aclose"}
    missed = sorted(methods - driven)
    print(json.dumps({"methods": len(methods), "missed": missed, "failed": failed}))
    sys.exit(0 if failed == 0 and not missed else 1)


asyncio.run(main())
