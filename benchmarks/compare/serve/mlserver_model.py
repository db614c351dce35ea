"""The model that `with_mlserver.py` serves."""

import base64
from typing import Any

import numpy as np
from given import SIZE, WORKLOAD
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from work import WORK, opened


class Model(MLModel):
    async def load(self) -> bool:
        self.work = WORK[WORKLOAD]()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        first = payload.inputs[0]
        if WORKLOAD == "embed":
            sentences = StringCodec.decode_input(first)
            answers = self.work.many(sentences)
        elif WORKLOAD == "image":
            answers = [self.work.one(opened(base64.b64decode(first.data[0])))]
        else:
            rows = NumpyCodec.decode_input(first)
            answers = self.work.many(rows) if SIZE > 1 else [self.work.one(rows[0])]
        output: Any = NumpyCodec.encode_output("y", np.asarray(answers))
        return InferenceResponse(model_name=self.name, outputs=[output])
