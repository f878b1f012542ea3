"""The usual webcam loop of `face_recognition`, with one line changed.

The first face that is seen is taken for the enrolled person; each later one is compared with it.
"""

import hashlib

import face_recognition

import framegate_client

camera = framegate_client.VideoCapture(0)  # was: cv2.VideoCapture(0)
known, person = None, ""
while True:
    ok, frame = camera.read()
    if not ok:
        break
    rgb = frame[:, :, ::-1].copy()
    places = face_recognition.face_locations(rgb)
    for encoding in face_recognition.face_encodings(rgb, places):
        if known is None:
            known, person = encoding, hashlib.sha256(b"the enrolled person").hexdigest()
            continue
        distance = float(face_recognition.face_distance([known], encoding)[0])
        same = distance < 0.6
        print(f"face_recognition: {'a match' if same else 'no match'}, {distance:.2f}", flush=True)
        camera.compared(person)
        camera.result({"subject": person if same else None, "score": distance, "comparisons": 1})
