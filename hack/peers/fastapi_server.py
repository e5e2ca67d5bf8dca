"""The app of the tutorials: a pydantic body and a handler in the thread pool: fastapi_server.py GRAPH PORT."""

import base64
import sys

import numpy as np
import uvicorn
from fastapi import FastAPI
from graph import Graph
from pydantic import BaseModel

app = FastAPI()
graph = Graph(sys.argv[1])


class Rows(BaseModel):
    """Flat rows of numbers."""

    rows: list[list[float]]


class Encoded(BaseModel):
    """A picture in base64."""

    picture: str


class Answer(BaseModel):
    """One row of probabilities per row."""

    probabilities: list[list[float]]


@app.post("/predict")
def predict(body: Rows) -> Answer:
    return Answer(probabilities=graph.run(np.array(body.rows)).tolist())


@app.post("/predict-picture")
def predict_picture(body: Encoded) -> Answer:
    return Answer(probabilities=graph.run(graph.decode(base64.b64decode(body.picture))).tolist())


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]))
